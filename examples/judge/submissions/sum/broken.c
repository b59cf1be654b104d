/* expect: compile error
 * No C. */
int main(void) { return }
