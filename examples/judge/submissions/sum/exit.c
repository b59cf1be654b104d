/* expect: wrong exit
 * The right answer, and a status that says otherwise. */
#include <stdio.h>

static long long answer(void)
{
	long long n, x, sum = 0;

	if (scanf("%lld", &n) != 1)
		return 0;
	while (n-- > 0 && scanf("%lld", &x) == 1)
		sum += x;
	return sum;
}

int main(void)
{
	printf("%lld\n", answer());
	return 3;
}
