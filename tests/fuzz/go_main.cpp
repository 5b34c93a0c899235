// The main of a harness is libFuzzer's or replay.cpp's, on a thread that is none of the runtime's. What the
// runtime would begin with is never called.
#include "runtime/runtime.h"

int fairlead::goMain(int, char**) { return 1; }
