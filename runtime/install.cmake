# What `cmake --install BUILD --component runtime --prefix PREFIX` copies: the library, the headers for programs, the
# package that find_package(fairlead) finds, and gdb.py.
if(FAIRLEAD_DEBUG_LOCKS)
  return()  # every program would have to be linked with the --wrap options of this build
endif()
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

# Headers that are not internal, and the internal ones that they include.
file(GLOB headers RELATIVE ${PROJECT_SOURCE_DIR} *.h)
set(wanted)
foreach(header ${headers})
  file(STRINGS ${PROJECT_SOURCE_DIR}/${header} story LIMIT_COUNT 1)
  if(NOT story MATCHES "^// Internal")
    list(APPEND wanted ${header})
  endif()
endforeach()
set(installed)
while(wanted)
  list(POP_FRONT wanted header)
  list(APPEND installed ${header})
  file(STRINGS ${PROJECT_SOURCE_DIR}/${header} includes REGEX "^#include \"runtime/")
  list(TRANSFORM includes REPLACE ".*\"(.*)\".*" "\\1")
  list(APPEND wanted ${includes})
  list(REMOVE_DUPLICATES wanted)
  list(REMOVE_ITEM wanted ${installed})
endwhile()
list(TRANSFORM installed PREPEND ${PROJECT_SOURCE_DIR}/)
install(FILES ${installed} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/runtime COMPONENT runtime)

# Programs need no warnings of ours, but frame pointers for the traces of goroutines, and the sanitizers of the library.
target_compile_options(fairlead_runtime INTERFACE
  $<INSTALL_INTERFACE:$<$<COMPILE_LANGUAGE:CXX>:-fno-omit-frame-pointer>>)
if(FAIRLEAD_SANITIZE)
  target_compile_options(fairlead_runtime INTERFACE $<INSTALL_INTERFACE:-fsanitize=${FAIRLEAD_SANITIZE}>)
  target_link_options(fairlead_runtime INTERFACE $<INSTALL_INTERFACE:-fsanitize=${FAIRLEAD_SANITIZE}>)
endif()

# No two minor versions below 1.0 promise to be compatible.
set_target_properties(fairlead_runtime PROPERTIES
  EXPORT_NAME runtime
  VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
install(TARGETS fairlead_runtime EXPORT fairlead-targets
  ARCHIVE COMPONENT runtime
  LIBRARY COMPONENT runtime
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/fairlead)
install(EXPORT fairlead-targets NAMESPACE fairlead:: DESTINATION ${package} COMPONENT runtime)
write_basic_package_version_file(fairlead-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES fairlead-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/fairlead-config-version.cmake
  DESTINATION ${package} COMPONENT runtime)
install(FILES gdb.py DESTINATION ${CMAKE_INSTALL_DATADIR}/fairlead COMPONENT runtime)
