// The command line: `fairlead add NETWORK --netns PATH` and its kin.
#pragma once

namespace fairlead::plugin {

// cli() carries out one command line and returns the exit status: 0 done, 1 it failed, 2 it was not
// understood. Results go to standard output, messages to standard error. Runs on the main goroutine, in the
// host's namespace. Never throws.
int cli(int argc, char** argv);

}  // namespace fairlead::plugin
