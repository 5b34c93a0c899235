// The program's entry: kept in an object of its own, so that a program with its own main can link the rest.
#include "runtime/runtime.h"

namespace fairlead::runtime {
int runMain(int argc, char** argv);
}  // namespace fairlead::runtime

int main(int argc, char** argv) { return fairlead::runtime::runMain(argc, argv); }
