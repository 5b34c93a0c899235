# What the runtime's operations cost.
foreach(name runtime chan io sync)
  add_executable(${name}_bench ${CMAKE_CURRENT_LIST_DIR}/${name}_bench.cpp)
  target_link_libraries(${name}_bench PRIVATE fairlead::runtime)
  target_link_options(${name}_bench PRIVATE -static)
endforeach()
target_compile_definitions(io_bench PRIVATE IO_BENCH_GO="${CMAKE_CURRENT_LIST_DIR}/go/io_bench.go")
