/* expect: forbidden call
 * Would trace another process. */
#include <sys/ptrace.h>
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
	return ptrace(PTRACE_ATTACH, 1, 0, 0) < 0;
}
