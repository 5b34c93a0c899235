// Internal: names for code addresses, from the symbol tables of the files that the code was mapped from.
//
// For use in a program that is about to die: nothing is allocated, no lock is taken, files are mapped when
// the first address in them is asked for. A file without .symtab (stripped) still has what it exports in
// .dynsym.
#pragma once

#include <link.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "runtime/backtrace.h"

namespace fairlead::runtime {

struct Symbol {
  // As the linker has it, or the name of the file where it has none; nullptr: not mapped from a file. Lives
  // as long as its Symbols.
  const char* name = nullptr;
  uintptr_t offset = 0;  // of the address in it
};

class Symbols {
 public:
  Symbols() = default;
  ~Symbols();
  Symbols(const Symbols&) = delete;
  Symbols& operator=(const Symbols&) = delete;

  Symbol find(Frame frame);

 private:
  // File is a mapped ELF file. Everything in it is checked against its size: it may have been replaced.
  struct File {
    const link_map* map = nullptr;
    const char* base = nullptr;
    size_t size = 0;
    const ElfW(Sym) * symbols = nullptr;
    size_t count = 0;
    const char* names = nullptr;
    size_t namesSize = 0;

    void open(const link_map* of);
    void findTables();
    template <class T>
    const T* at(size_t offset, size_t n) const;
    Symbol find(uintptr_t address) const;  // as in the file
  };
  struct Known {
    uintptr_t address = 0;
    Symbol symbol;
  };

  const File* fileOf(uintptr_t address);

  std::array<File, 16> files_;
  size_t fileCount_ = 0;
  std::array<Known, 64> known_;  // parked goroutines are mostly parked at the same places
};

// demangle() writes a C++ name in the form that its author knows, at most `size` bytes with the terminating
// zero. A name it cannot take apart stays as it is. `mayAllocate`: some C libraries offer no other way, the
// name then stays as it is unless the caller says that malloc may be called.
void demangle(const char* name, char* to, size_t size, bool mayAllocate);

}  // namespace fairlead::runtime
