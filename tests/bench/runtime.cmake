# What the runtime's operations cost.
add_executable(runtime_bench ${CMAKE_CURRENT_LIST_DIR}/runtime_bench.cpp)
target_link_libraries(runtime_bench PRIVATE fairlead::runtime)
target_link_options(runtime_bench PRIVATE -static)
