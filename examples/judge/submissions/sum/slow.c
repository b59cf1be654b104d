/* expect: time limit
 * Computes for ever; here for 8 seconds at most. */
#include <sys/resource.h>
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
	struct rlimit most = { 8, 8 };
	volatile unsigned long n = 0;

	setrlimit(RLIMIT_CPU, &most);
	for (;;)
		n++;
}
