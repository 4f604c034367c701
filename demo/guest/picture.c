/*
 * picture: what the guest of the demo does, so that somebody can see that it lives.
 *
 * Ten times a second it paints a plasma with a counter on the text screen and sends "tick N\n" to the serial port.
 * The counter is a plain variable: it goes on without gap or repeat wherever the machine is carried.
 *
 * `b` makes the machine busy (a child rewrites 4 MiB of memory over and over), `i` idle again; from the keyboard
 * or from the serial port. Anything else is ignored.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define COLUMNS 80
#define ROWS 25
#define BUSY_BYTES (4 << 20)

/* Code page 437: from empty to full. */
static const unsigned char shades[] = { ' ', 0xb0, 0xb1, 0xb2, 0xdb };
static const unsigned char colours[] = { 1, 9, 3, 11, 15, 14, 6, 12, 4, 5 };
static signed char sine[256];

/* One period in 256 steps by the parabola through its zeros and peaks: no maths library in the image. */
static void make_sine(void)
{
	for (int i = 0; i < 256; i++) {
		int half = i & 127;
		int value = half * (128 - half) * 127 / 4096;

		sine[i] = (signed char)(i < 128 ? value : -value);
	}
}

static void paint(int screen, uint32_t tick, int is_busy)
{
	static unsigned char cells[ROWS][COLUMNS][2];
	char text[COLUMNS + 1];
	int length;

	for (int y = 0; y < ROWS; y++)
		for (int x = 0; x < COLUMNS; x++) {
			int wave = sine[(x * 4 + tick * 3) & 255] + sine[(y * 9 - tick * 5) & 255] +
				   sine[(x * 3 + y * 6 + tick * 2) & 255] + 381;
			int level = wave * 50 / 763;

			cells[y][x][0] = shades[level % 5];
			cells[y][x][1] = colours[level / 5 % 10];
		}
	length = snprintf(text, sizeof text, " Linux, tick %-10u %s  b: busy  i: idle ", tick, is_busy ? "busy" : "idle");
	for (int x = 0; x < length; x++) {
		cells[ROWS / 2][(COLUMNS - length) / 2 + x][0] = (unsigned char)text[x];
		cells[ROWS / 2][(COLUMNS - length) / 2 + x][1] = 0x1f;
	}
	if (pwrite(screen, cells, sizeof cells, 4) < 0)
		exit(1);
}

/* Rewrites memory with what it makes of it; never two rounds alike. */
static void labour(void)
{
	/* Volatile: nobody reads it, and a compiler leaves such stores out. */
	volatile uint32_t *words = malloc(BUSY_BYTES);
	uint32_t state = 1;

	if (words == NULL)
		exit(1);
	for (;;)
		for (size_t i = 0; i < BUSY_BYTES / sizeof *words; i++) {
			state = state * 1664525u + 1013904223u;
			words[i] += state;
		}
}

static void make_raw(int fd)
{
	struct termios raw;

	if (tcgetattr(fd, &raw) < 0)
		return;
	cfmakeraw(&raw);
	tcsetattr(fd, TCSANOW, &raw);
}

int main(int argc, char **argv)
{
	int inputs[2];
	pid_t child = 0;
	int screen;

	if (argc != 3) {
		fprintf(stderr, "usage: picture TTY SERIAL\n");
		return 2;
	}
	for (int i = 0; i < 2; i++) {
		inputs[i] = open(argv[i + 1], O_RDWR | O_NOCTTY | O_NONBLOCK);
		make_raw(inputs[i]);
	}
	screen = open("/dev/vcsa1", O_RDWR);
	if (inputs[0] < 0 || inputs[1] < 0 || screen < 0) {
		perror("picture: cannot open the screen and the serial port");
		return 1;
	}
	/* No cursor, and no blanking after ten minutes. */
	dprintf(inputs[0], "\033[?25l\033[9;0]");
	make_sine();

	for (uint32_t tick = 0;; tick++) {
		const struct timespec tenth = { .tv_nsec = 100 * 1000 * 1000 };
		char key;

		paint(screen, tick, child > 0);
		dprintf(inputs[1], "tick %u\n", tick);
		for (int i = 0; i < 2; i++)
			while (read(inputs[i], &key, 1) == 1) {
				if (key == 'b' && child == 0) {
					child = fork();
					if (child == 0)
						labour();
				} else if (key == 'i' && child > 0) {
					kill(child, SIGKILL);
					waitpid(child, NULL, 0);
					child = 0;
				}
			}
		nanosleep(&tenth, NULL);
	}
}
