/* expect: compile error
 * A program file of 1 GiB. */
char big[1u << 30] = { 1 };

int main(void)
{
	return big[5];
}
