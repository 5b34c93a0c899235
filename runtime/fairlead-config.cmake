# find_package(fairlead) gives the target fairlead::runtime.
include(CMakeFindDependencyMacro)
find_dependency(Threads)
include(${CMAKE_CURRENT_LIST_DIR}/fairlead-targets.cmake)
