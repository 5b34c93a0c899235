// All of sync at once: what is blocked is the goroutine, never the thread. context.h, errgroup.h, semaphore.h
// and singleflight.h build on these.
#pragma once

#include "runtime/cond.h"       // IWYU pragma: export
#include "runtime/mutex.h"      // IWYU pragma: export
#include "runtime/once.h"       // IWYU pragma: export
#include "runtime/rwmutex.h"    // IWYU pragma: export
#include "runtime/waitgroup.h"  // IWYU pragma: export
