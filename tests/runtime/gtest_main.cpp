// GoogleTest inside goMain: every test body is goroutine 1.
#include <gtest/gtest.h>

#include "runtime/runtime.h"

int fairlead::goMain(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
