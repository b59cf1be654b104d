/* expect: compile error
 * Would show a file of the judge in the compiler's messages. */
#include "/etc/shadow"

int main(void)
{
	return 0;
}
