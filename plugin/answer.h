// The one answer that a container runtime gets from a call, also from a process that cannot go on.
//
// Where no thread can be made, no memory be had, or no way be found back from a container's namespace, the
// process has to end at once, and can neither return nor undo. It then answers as the CNI specification
// ("Error") wants a failure answered, so that the runtime calls DEL, which puts right what was done so far.
#pragma once

namespace fairlead::plugin {

// oweAnswer() says that from now on a fatal error is to be answered on standard output.
void oweAnswer();

// takeAnswer() makes answering the caller's. False when a dying thread has answered already: the process is
// about to end.
bool takeAnswer();

}  // namespace fairlead::plugin
