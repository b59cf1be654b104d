/* A whole 32-bit program without a C library: "NUMBER A B C D E F" makes that call and prints the result.
 * Compiled by the suite itself (gcc -m32 -nostdlib -x c), so that no 32-bit C library is needed.
 * Runs in: child (the sandboxed program), and outside as its own positive control. */
static int gate(int nr, int a, int b, int c, int d, int e)
{
	__asm__ volatile("int $0x80" : "+a"(nr) : "b"(a), "c"(b), "d"(c), "S"(d), "D"(e) : "memory");
	return nr;
}

static int number(const char *s)
{
	unsigned n = 0;
	int minus = *s == '-';

	for (s += minus; *s >= '0' && *s <= '9'; s++)
		n = n * 10 + (unsigned)(*s - '0');
	return (int)(minus ? 0 - n : n);
}

__attribute__((used)) static void start(int *stack)
{
	char **argv = (char **)(stack + 1), out[16];
	int r = *stack < 7 ? -22 : gate(number(argv[1]), number(argv[2]), number(argv[3]), number(argv[4]), number(argv[5]), number(argv[6]));
	unsigned n = r < 0 ? 0 - (unsigned)r : (unsigned)r;
	int at = 15;

	out[at] = '\n';
	do
		out[--at] = (char)('0' + n % 10);
	while (n /= 10);
	if (r < 0)
		out[--at] = '-';
	gate(4, 1, (int)(out + at), 16 - at, 0, 0);
	gate(1, 0, 0, 0, 0, 0);
}

__asm__(".globl _start\n_start:\n\tmov %esp, %eax\n\tand $-16, %esp\n\tsub $12, %esp\n\tpush %eax\n\tcall start\n");
