/* expect: file size
 * One file that grows; here to 64 MiB at most. */
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
	static char block[1 << 16];
	FILE *f = fopen("/tmp/big", "w");

	for (int i = 0; f && i < 1024; i++)
		fwrite(block, sizeof block, 1, f);
	printf("%lld\n", answer());
	return 0;
}
