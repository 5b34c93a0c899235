// What a static C++ program costs before it does anything.
int main() { return 0; }
