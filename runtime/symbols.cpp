#include "runtime/symbols.h"

#include <cxxabi.h>
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

// libstdc++'s demangler without allocation: its archive has it, its shared library keeps it to itself.
// NOLINTNEXTLINE(bugprone-reserved-identifier)
extern "C" [[gnu::weak]] int __gcclibcxx_demangle_callback(const char* name,
                                                           void (*append)(const char*, size_t, void*),
                                                           void* to);

namespace fairlead::runtime {
namespace {

struct Text {
  char* to;
  size_t left;
};

void append(const char* piece, size_t size, void* arg) {
  Text& text = *static_cast<Text*>(arg);
  const size_t n = std::min(size, text.left);
  std::memcpy(text.to, piece, n);
  text.to += n;
  text.left -= n;
}

}  // namespace

Symbols::~Symbols() {
  for (size_t i = 0; i < fileCount_; ++i) {
    if (files_[i].base != nullptr) munmap(const_cast<char*>(files_[i].base), files_[i].size);
  }
}

template <class T>
const T* Symbols::File::at(size_t offset, size_t n) const {
  if (offset > size || n > (size - offset) / sizeof(T) || offset % alignof(T) != 0) return nullptr;
  return reinterpret_cast<const T*>(base + offset);
}

void Symbols::File::open(const link_map* of) {
  map = of;
  const int fd = ::open(of->l_name[0] != '\0' ? of->l_name : "/proc/self/exe", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  struct stat status {};
  if (fstat(fd, &status) == 0 && status.st_size > 0) {
    void* memory = mmap(nullptr, static_cast<size_t>(status.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
    if (memory != MAP_FAILED) {
      base = static_cast<const char*>(memory);
      size = static_cast<size_t>(status.st_size);
      findTables();
    }
  }
  close(fd);
}

void Symbols::File::findTables() {
  const auto* header = at<ElfW(Ehdr)>(0, 1);
  if (header == nullptr || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return;
  const auto* sections = at<ElfW(Shdr)>(header->e_shoff, header->e_shnum);
  if (sections == nullptr) return;
  for (size_t i = 0; i < header->e_shnum; ++i) {
    const ElfW(Shdr)& section = sections[i];
    if (section.sh_type != SHT_SYMTAB && (section.sh_type != SHT_DYNSYM || symbols != nullptr)) continue;
    if (section.sh_link >= header->e_shnum) continue;
    const ElfW(Shdr)& strings = sections[section.sh_link];
    const auto* table = at<ElfW(Sym)>(section.sh_offset, section.sh_size / sizeof(ElfW(Sym)));
    const char* text = at<char>(strings.sh_offset, strings.sh_size);
    if (table == nullptr || text == nullptr || strings.sh_size == 0 || text[strings.sh_size - 1] != '\0')
      continue;
    symbols = table;
    count = section.sh_size / sizeof(ElfW(Sym));
    names = text;
    namesSize = strings.sh_size;
  }
}

Symbol Symbols::File::find(uintptr_t address) const {
  for (size_t i = 0; i < count; ++i) {
    const ElfW(Sym)& symbol = symbols[i];
    // Type and section index: the same bits in both classes of ELF.
    if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_shndx == SHN_UNDEF) continue;
    if (address < symbol.st_value || address - symbol.st_value >= symbol.st_size) continue;
    if (symbol.st_name >= namesSize) continue;
    return {.name = names + symbol.st_name, .offset = address - symbol.st_value};
  }
  const char* slash = std::strrchr(map->l_name, '/');
  return {.name = slash != nullptr ? slash + 1 : "?", .offset = address};
}

// The loader's own table of what is mapped where needs no lock, unlike dl_iterate_phdr.
const Symbols::File* Symbols::fileOf(uintptr_t address) {
  dl_find_object object{};
  if (_dl_find_object(reinterpret_cast<void*>(address), &object) != 0) return nullptr;
  for (size_t i = 0; i < fileCount_; ++i) {
    if (files_[i].map == object.dlfo_link_map) return &files_[i];
  }
  if (fileCount_ == files_.size()) return nullptr;
  File& file = files_[fileCount_++];
  file.open(object.dlfo_link_map);
  return &file;
}

// A return address may already belong to the next function: a call that never returns can be the last thing
// in one.
Symbol Symbols::find(Frame frame) {
  const uintptr_t back = frame.exact != 0 ? 0 : 1;
  const uintptr_t address = frame.pc - back;
  Known& known = known_[address / 4 % known_.size()];
  if (known.address != address) {
    const File* file = fileOf(address);
    known = {.address = address,
             .symbol = file != nullptr ? file->find(address - file->map->l_addr) : Symbol{}};
  }
  return {.name = known.symbol.name, .offset = known.symbol.offset + back};
}

void demangle(const char* name, char* to, size_t size, bool mayAllocate) {
  Text text{.to = to, .left = size - 1};
  int failed = 1;
  if (std::strncmp(name, "_Z", 2) == 0) {
    if (__gcclibcxx_demangle_callback != nullptr) {
      failed = __gcclibcxx_demangle_callback(name, append, &text);
    } else if (mayAllocate) {
      char* readable = abi::__cxa_demangle(name, nullptr, nullptr, &failed);
      if (failed == 0) append(readable, std::strlen(readable), &text);
      std::free(readable);
    }
  }
  if (failed != 0) {
    text = {.to = to, .left = size - 1};
    append(name, std::strlen(name), &text);
  }
  *text.to = '\0';
}

}  // namespace fairlead::runtime
