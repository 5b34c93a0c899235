# What the runtime's operations cost.
foreach(name runtime chan sync)
  add_executable(${name}_bench ${CMAKE_CURRENT_LIST_DIR}/${name}_bench.cpp)
  target_link_libraries(${name}_bench PRIVATE fairlead::runtime)
  target_link_options(${name}_bench PRIVATE -static)
endforeach()
