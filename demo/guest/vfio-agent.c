/*
 * vfio-agent: the hands of the kernel oracle inside the guest.
 *
 * Takes one request per line from a serial port, makes the one system call it names on a VFIO device or a data
 * fd, and answers with what came back. It decides nothing: which calls to make, and what they should answer, is
 * known outside, where the same calls go to a stopcopy device.
 *
 *   request   "NUMBER VERB ARGUMENT... SUM"        answer   "NUMBER RESULT [BYTES] SUM"
 *
 * SUM is the sum of the line's bytes before it, its space included, modulo 65536, as four hex digits. A line that
 * is damaged or not understood is answered by "? -22" and ends nothing. RESULT is what the call returned, or a
 * negative errno. Numbers are decimal, bytes are hex.
 *
 *   hello                             0
 *   open CARD                         the fd of card 0 to 7 (two ports) or 8 (one port)
 *   close FD
 *   limit COUNT                       new fd numbers from COUNT on are refused (EMFILE)
 *   ioctl FD REQUEST BYTES [AT...]    BYTES as the call left them; the u64 at each AT is an offset into BYTES and
 *                                     becomes a pointer for the call; "-" for no bytes
 *   read FD LENGTH                    the bytes read
 *   write FD BYTES
 *   poll FD EVENTS                    those of EVENTS that are there now
 *   peek FD REGION OFFSET LENGTH      a read of a device region
 *   poke FD REGION OFFSET BYTES       a write of one
 *
 * The bytes of a call lie at the very end of a mapping, so that a kernel that touches one byte more gets EFAULT.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <termios.h>
#include <unistd.h>

#define CARDS 9
#define MAX_LINE 8192
#define MAX_BYTES 2048
#define MAX_ARGUMENTS 16

static int port;
static unsigned char *mapping_end;
static int card_groups[CARDS] = { [0 ... CARDS - 1] = -1 };

static void die(const char *what)
{
	fprintf(stderr, "vfio-agent: %s: %s\n", what, strerror(errno));
	exit(1);
}

static unsigned sum_of(const char *line, size_t length)
{
	unsigned sum = 0;

	for (size_t i = 0; i < length; i++)
		sum += (unsigned char)line[i];
	return sum & 0xffff;
}

static void answer(const char *number, long result, const unsigned char *bytes, size_t length)
{
	static char line[2 * MAX_BYTES + 64];
	size_t at = (size_t)sprintf(line, "%s %ld ", number, result);

	for (size_t i = 0; i < length; i++)
		at += (size_t)sprintf(line + at, "%02x", bytes[i]);
	if (length > 0)
		line[at++] = ' ';
	at += (size_t)sprintf(line + at, "%04x\n", sum_of(line, at));
	for (size_t sent = 0; sent < at;) {
		ssize_t n = write(port, line + sent, at - sent);

		if (n < 0)
			die("cannot write to the serial port");
		sent += (size_t)n;
	}
}

/* Puts hex digits at the end of the mapping; -1 when they are none, or too many. */
static long place_bytes(const char *hex, unsigned char **start)
{
	size_t length = strcmp(hex, "-") == 0 ? 0 : strlen(hex) / 2;
	unsigned value;

	if (length > MAX_BYTES)
		return -1;
	*start = mapping_end - length;
	for (size_t i = 0; i < length; i++) {
		if (sscanf(hex + 2 * i, "%2x", &value) != 1)
			return -1;
		(*start)[i] = (unsigned char)value;
	}
	return (long)length;
}

/* Opens a card's group and attaches a container of its own; both stay open for as long as the agent runs. */
static int attach_group(const char *name)
{
	char path[96], target[256];
	ssize_t n;
	int group, container;

	snprintf(path, sizeof path, "/sys/bus/mdev/devices/%s/iommu_group", name);
	n = readlink(path, target, sizeof target - 1);
	if (n < 0)
		return -1;
	target[n] = 0;
	snprintf(path, sizeof path, "/dev/vfio/%s", strrchr(target, '/') + 1);
	group = open(path, O_RDWR);
	container = open("/dev/vfio/vfio", O_RDWR);
	if (group < 0 || container < 0 || ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) < 0 ||
	    ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU) < 0)
		return -1;
	return group;
}

static long open_card(unsigned card)
{
	char name[40];

	if (card >= CARDS) {
		errno = EINVAL;
		return -1;
	}
	snprintf(name, sizeof name, "00000000-0000-0000-0000-00000000000%u", card);
	if (card_groups[card] < 0)
		card_groups[card] = attach_group(name);
	if (card_groups[card] < 0)
		return -1;
	return ioctl(card_groups[card], VFIO_GROUP_GET_DEVICE_FD, name);
}

static long limit_fds(unsigned long count)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -1;
	limit.rlim_cur = count;
	return setrlimit(RLIMIT_NOFILE, &limit);
}

/* An ioctl on `bytes`, in which the u64 at each of `places` is relative to their start. */
static long relocated_ioctl(int fd, unsigned long request, unsigned char *bytes, long length, char **places, int count)
{
	uint64_t values[MAX_ARGUMENTS];
	long result;
	int error;

	for (int i = 0; i < count; i++) {
		unsigned long at = strtoul(places[i], NULL, 10);
		uint64_t pointer;

		if (at + 8 > (unsigned long)length) {
			errno = EINVAL;
			return -1;
		}
		memcpy(&values[i], bytes + at, 8);
		pointer = values[i] + (uintptr_t)bytes;
		memcpy(bytes + at, &pointer, 8);
	}
	result = ioctl(fd, request, bytes);
	error = errno;
	for (int i = 0; i < count; i++)
		memcpy(bytes + strtoul(places[i], NULL, 10), &values[i], 8);
	errno = error;
	return result;
}

static long region_offset(int fd, unsigned region, uint64_t *offset)
{
	struct vfio_region_info info = { .argsz = sizeof info, .index = region };

	if (ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &info) < 0)
		return -1;
	*offset = info.offset;
	return 0;
}

static void serve(char *line)
{
	char *words[MAX_ARGUMENTS + 2], *rest = NULL;
	unsigned char *bytes = mapping_end;
	unsigned long numbers[MAX_ARGUMENTS + 2] = { 0 };
	long result = -1, length = 0;
	size_t returned = 0, body;
	uint64_t offset;
	const char *verb;
	char *last = strrchr(line, ' ');
	int count = 0;

	errno = EINVAL;
	body = last == NULL ? 0 : (size_t)(last + 1 - line);
	if (body == 0 || strlen(last + 1) != 4 || strtoul(last + 1, NULL, 16) != sum_of(line, body)) {
		answer("?", -EINVAL, NULL, 0);
		return;
	}
	*last = 0;
	for (char *word = strtok_r(line, " ", &rest); word && count < MAX_ARGUMENTS + 2; word = strtok_r(NULL, " ", &rest)) {
		numbers[count] = strtoul(word, NULL, 10);
		words[count++] = word;
	}
	if (count < 2) {
		answer("?", -EINVAL, NULL, 0);
		return;
	}
	verb = words[1];

	if (strcmp(verb, "hello") == 0 && count == 2) {
		result = 0;
	} else if (strcmp(verb, "open") == 0 && count == 3) {
		result = open_card((unsigned)numbers[2]);
	} else if (strcmp(verb, "close") == 0 && count == 3) {
		result = close((int)numbers[2]);
	} else if (strcmp(verb, "limit") == 0 && count == 3) {
		result = limit_fds(numbers[2]);
	} else if (strcmp(verb, "ioctl") == 0 && count >= 5 && (length = place_bytes(words[4], &bytes)) >= 0) {
		result = relocated_ioctl((int)numbers[2], numbers[3], bytes, length, words + 5, count - 5);
		returned = (size_t)length;
	} else if (strcmp(verb, "read") == 0 && count == 4 && numbers[3] <= MAX_BYTES) {
		bytes = mapping_end - numbers[3];
		result = read((int)numbers[2], bytes, numbers[3]);
		returned = result < 0 ? 0 : (size_t)result;
	} else if (strcmp(verb, "write") == 0 && count == 4 && (length = place_bytes(words[3], &bytes)) >= 0) {
		result = write((int)numbers[2], bytes, (size_t)length);
	} else if (strcmp(verb, "poll") == 0 && count == 4) {
		struct pollfd entry = { .fd = (int)numbers[2], .events = (short)numbers[3] };

		result = poll(&entry, 1, 0);
		if (result >= 0)
			result = entry.revents;
	} else if (strcmp(verb, "peek") == 0 && count == 6 && numbers[5] <= MAX_BYTES) {
		bytes = mapping_end - numbers[5];
		result = region_offset((int)numbers[2], (unsigned)numbers[3], &offset);
		if (result == 0)
			result = pread64((int)numbers[2], bytes, numbers[5], (off64_t)(offset + numbers[4]));
		returned = result < 0 ? 0 : (size_t)result;
	} else if (strcmp(verb, "poke") == 0 && count == 6 && (length = place_bytes(words[5], &bytes)) >= 0) {
		result = region_offset((int)numbers[2], (unsigned)numbers[3], &offset);
		if (result == 0)
			result = pwrite64((int)numbers[2], bytes, (size_t)length, (off64_t)(offset + numbers[4]));
	} else {
		answer("?", -EINVAL, NULL, 0);
		return;
	}
	answer(words[0], result < 0 ? -errno : result, bytes, returned);
}

int main(int argc, char **argv)
{
	static char line[MAX_LINE];
	struct termios raw;
	size_t page = (size_t)sysconf(_SC_PAGESIZE), used = 0;
	unsigned char *mapping;

	if (argc != 2) {
		fprintf(stderr, "usage: vfio-agent TTY\n");
		return 2;
	}
	port = open(argv[1], O_RDWR | O_NOCTTY);
	if (port < 0 || tcgetattr(port, &raw) < 0)
		die("cannot open the serial port");
	cfmakeraw(&raw);
	cfsetspeed(&raw, B115200);
	if (tcsetattr(port, TCSANOW, &raw) < 0)
		die("cannot set the serial port");
	mapping = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mapping == MAP_FAILED || mprotect(mapping + page, page, PROT_NONE) < 0)
		die("cannot map memory");
	mapping_end = mapping + page;

	answer("ready", 0, NULL, 0);
	for (;;) {
		ssize_t n = read(port, line + used, sizeof line - 1 - used);
		char *end;

		if (n <= 0)
			die("cannot read from the serial port");
		used += (size_t)n;
		line[used] = 0;
		while ((end = strchr(line, '\n')) != NULL) {
			*end = 0;
			serve(line);
			used -= (size_t)(end + 1 - line);
			memmove(line, end + 1, used + 1);
		}
		if (used == sizeof line - 1)
			used = 0;
	}
}
