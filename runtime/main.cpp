// The program's entry, in an object of its own: a program that has its own main links the rest and calls
// runMain().
#include "runtime/runtime.h"

int main(int argc, char** argv) { fairlead::runtime::runMain(argc, argv); }
