// What a program calls of the library, as it would call anything: that links the objects, whose initialisers
// lock.
#pragma once

namespace fairlead::runtime {

bool initLockA();
bool initLockB();

}  // namespace fairlead::runtime
