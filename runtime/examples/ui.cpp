// ui: a library that wants to be called by one thread only, the process's first, and goroutines that call
// into it.
//
// What to learn from it: Cocoa, OpenGL, SDL and many others keep state in the thread that initialised them.
// lockOSThread() in an Init keeps the main goroutine on the startup thread for good; it runs a loop over a
// channel of closures, and whoever wants something of the library sends one and waits until it has been run.
// The other goroutines go on meanwhile, on threads of their own.
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <utility>

#include "runtime/chan.h"
#include "runtime/runtime.h"
#include "runtime/waitgroup.h"

namespace {

using fairlead::runtime::Chan;
using fairlead::runtime::Nothing;
using fairlead::runtime::WaitGroup;

const fairlead::runtime::Init init([] { fairlead::runtime::lockOSThread(); });

// Toolkit stands for the library.
class Toolkit {
 public:
  Toolkit() : thread_(gettid()) {}

  void draw(int what) {
    std::printf("circle %d, drawn by %s\n", what,
                gettid() == thread_ ? "the right thread" : "the wrong thread");
    ++drawn_;
  }
  [[nodiscard]] int drawn() const { return drawn_; }

 private:
  const pid_t thread_;
  int drawn_ = 0;
};

// UiThread is how goroutines reach it. No lock is needed: one closure runs at a time.
class UiThread {
 public:
  // call() runs f on the UI thread and returns when it has been run.
  template <class F>
  void call(F f) const {
    const Chan<Nothing> done;
    calls_.send([&f, done] {
      f();
      done.close();
    });
    done.receive();
  }
  // run() is for the main goroutine. It returns when quit() has been called.
  void run() const {
    for (auto& f : calls_) f();
  }
  void quit() const { calls_.close(); }

 private:
  Chan<std::move_only_function<void()>> calls_;
};

}  // namespace

int fairlead::goMain(int, char**) {
  Toolkit toolkit;
  const UiThread ui;

  runtime::go([&] {
    WaitGroup artists;
    for (int i = 0; i < 3; ++i) {
      artists.go([&, i] { ui.call([&] { toolkit.draw(i); }); });
    }
    artists.wait();
    ui.quit();
  });
  ui.run();

  std::printf("%d circles, %s\n", toolkit.drawn(),
              gettid() == getpid() ? "the first thread" : "another thread");
  return 0;
}
