/* expect: memory limit
 * Takes all memory that it gets; here 400 MiB at most. */
#include <stdlib.h>
#include <string.h>
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
	for (int i = 0; i < 400; i++) {
		char *p = malloc(1 << 20);
		if (!p)
			abort();
		memset(p, 1, 1 << 20);
	}
	printf("%lld\n", answer());
	return 0;
}
