/*
 * A Huffman decoder for large pictures that are decoded at a fraction of their size, or of which only the luma counts.
 *
 * libjpeg's own reads every coefficient of every channel. Here, those that nobody needs (all of an unused channel, and of
 * the others what the small transform does not use) are passed over, several symbols a look-up where their codes and
 * values are short enough. Building the tables takes some ten microseconds, so small pictures stay with libjpeg.
 *
 * It plugs in where libjpeg has its entropy decoders (struct jpeg_entropy_decoder). Missing data and wrong codes are
 * reported as libjpeg reports them.
 */
#define JPEG_INTERNALS
#include <stdint.h>
#include <string.h>

#include "scan.h"
#include <jerror.h>

enum { LOOKAHEAD = 11, ENTRIES = 1 << LOOKAHEAD, LONGEST = 16 };

/* How the next symbols begin. */
struct skip {
  /* Bits of their codes and values; 0 if the first does not fit into the look-up. */
  uint8_t bits;
  /* Coefficients that they stand for. */
  uint8_t count;
  /* The last of them ends the block. */
  uint8_t end;
};

struct table {
  /* The bits of the next code, 0 if it is longer than the look-up; its symbol. */
  uint8_t length[ENTRIES];
  uint8_t symbol[ENTRIES];
  struct skip skip[ENTRIES];
  /* For long codes: the largest code of each length as 16 bits from the left, plus 1; the symbol of code c of that length is
   * symbols[c + offset]. */
  uint32_t above[LONGEST + 1];
  int offset[LONGEST + 1];
  const uint8_t *symbols;
};

/* What is needed of the blocks of one channel. */
struct channel {
  const struct table *dc;
  const struct table *ac;
  /* Index in zigzag order behind the last coefficient that is needed; 0 if none is. */
  int needed;
};

struct scan {
  struct jpeg_entropy_decoder pub;
  struct channel channels[MAX_COMPS_IN_SCAN];
  int before[MAX_COMPS_IN_SCAN];
  /* The next bits, the first one highest, and their number. */
  uint64_t bits;
  int count;
  const uint8_t *at;
  const uint8_t *end;
  /* The marker behind the scan's data, once it is met. */
  int marker;
  unsigned left;
};

/* ---- tables */

/* Whether an AC symbol ends the block; 0xF0 stands for 16 zeros. */
static int is_end(uint8_t symbol) { return (symbol & 15) == 0 && symbol != 0xF0; }

static void fill_skips(struct table *table) {
  uint32_t bits;
  for (bits = 0; bits < ENTRIES; bits++) {
    struct skip *skip = &table->skip[bits];
    memset(skip, 0, sizeof *skip);
    while (!skip->end) {
      uint32_t rest = bits << skip->bits & (ENTRIES - 1);
      uint8_t symbol = table->symbol[rest];
      int length = table->length[rest], all = length + (symbol & 15);
      if (!length || skip->bits + all > LOOKAHEAD)
        break;
      skip->bits = (uint8_t)(skip->bits + all);
      if (is_end(symbol))
        skip->end = 1;
      else
        skip->count = (uint8_t)(skip->count + (symbol >> 4) + 1);
    }
  }
}

/* Of a table that libjpeg has checked. */
static struct table *derived(j_decompress_ptr jpeg, const JHUFF_TBL *from, int is_ac) {
  struct table *table = jpeg->mem->alloc_small((j_common_ptr)jpeg, JPOOL_IMAGE, sizeof *table);
  uint32_t code = 0;
  int length, i, next = 0;
  memset(table, 0, sizeof *table);
  table->symbols = from->huffval;
  for (length = 1; length <= LONGEST; length++) {
    table->offset[length] = next - (int)code;
    for (i = 0; i < from->bits[length]; i++, code++, next++) {
      if (length <= LOOKAHEAD) {
        uint32_t first = code << (LOOKAHEAD - length);
        memset(table->length + first, length, (size_t)1 << (LOOKAHEAD - length));
        memset(table->symbol + first, from->huffval[next], (size_t)1 << (LOOKAHEAD - length));
      }
    }
    table->above[length] = code << (LONGEST - length);
    code <<= 1;
  }
  if (is_ac)
    fill_skips(table);
  return table;
}

/* ---- bits */

/* Adds bytes until 56 bits or more are there, or a marker or the end of the file is met. */
static void refill(struct scan *scan) {
  if (scan->marker)
    return;
  if (scan->end - scan->at >= 8) {
    uint64_t next;
    memcpy(&next, scan->at, 8);
    next = __builtin_bswap64(next);
    /* No byte is 0xFF: the complement has no zero byte. */
    if (!((~next - 0x0101010101010101u) & next & 0x8080808080808080u)) {
      int bytes = (63 - scan->count) >> 3;
      scan->bits |= next >> scan->count;
      scan->at += bytes;
      scan->count += 8 * bytes;
      /* Only whole bytes count. */
      scan->bits &= ~(uint64_t)0 << (64 - scan->count);
      return;
    }
  }
  while (scan->count <= 56 && !scan->marker) {
    uint8_t byte;
    if (scan->at == scan->end) {
      scan->marker = JPEG_EOI;
      return;
    }
    byte = *scan->at;
    if (byte == 0xFF) {
      const uint8_t *next = scan->at + 1;
      while (next < scan->end && *next == 0xFF)
        next++;
      if (next == scan->end) {
        scan->marker = JPEG_EOI;
        return;
      }
      if (*next) {
        scan->marker = *next;
        scan->at = next + 1;
        return;
      }
      scan->at = next;
    }
    scan->at++;
    scan->bits |= (uint64_t)byte << (56 - scan->count);
    scan->count += 8;
  }
}

static inline void take(j_decompress_ptr jpeg, struct scan *scan, int count) {
  scan->bits <<= count;
  scan->count -= count;
  if (scan->count < 0) {
    jpeg->unread_marker = scan->marker;
    WARNMS(jpeg, JWRN_HIT_MARKER);
  }
}

/* The next symbol; at least 16 bits were asked for. */
static inline uint8_t symbol_of(j_decompress_ptr jpeg, struct scan *scan, const struct table *table) {
  uint32_t index = (uint32_t)(scan->bits >> (64 - LOOKAHEAD));
  int length = table->length[index];
  if (length) {
    take(jpeg, scan, length);
    return table->symbol[index];
  }
  index = (uint32_t)(scan->bits >> (64 - LONGEST));
  for (length = LOOKAHEAD + 1; length <= LONGEST; length++) {
    if (index < table->above[length]) {
      int code = (int)(index >> (LONGEST - length));
      take(jpeg, scan, length);
      return table->symbols[code + table->offset[length]];
    }
  }
  WARNMS(jpeg, JWRN_HUFF_BAD_CODE);
  return 0;
}

/* The value in the next `size` bits (T.81, section F.2.2.1). */
static inline int value_of(j_decompress_ptr jpeg, struct scan *scan, int size) {
  int value;
  if (!size)
    return 0;
  value = (int)(scan->bits >> (64 - size));
  take(jpeg, scan, size);
  return value < 1 << (size - 1) ? value - (1 << size) + 1 : value;
}

/* ---- blocks */

static void read_block(j_decompress_ptr jpeg, struct scan *scan, int c, JCOEF *block) {
  const struct channel *channel = &scan->channels[c];
  const struct table *ac = channel->ac;
  int k = 1, size;
  if (scan->count < 32)
    refill(scan);
  size = symbol_of(jpeg, scan, channel->dc);
  /* Wraps around in a damaged file. */
  scan->before[c] = (int)((unsigned)scan->before[c] + (unsigned)value_of(jpeg, scan, size));
  if (channel->needed)
    block[0] = (JCOEF)scan->before[c];
  while (k < channel->needed) {
    uint8_t symbol;
    if (scan->count < 32)
      refill(scan);
    symbol = symbol_of(jpeg, scan, ac);
    if (is_end(symbol))
      return;
    k += symbol >> 4;
    if (symbol & 15)
      block[jpeg_natural_order[k]] = (JCOEF)value_of(jpeg, scan, symbol & 15);
    k++;
  }
  while (k < DCTSIZE2) {
    const struct skip *skip;
    uint8_t symbol;
    if (scan->count < 32)
      refill(scan);
    skip = &ac->skip[scan->bits >> (64 - LOOKAHEAD)];
    /* Symbols behind the block's last coefficient are those of the next block. */
    if (skip->bits && k + skip->count + skip->end <= DCTSIZE2) {
      take(jpeg, scan, skip->bits);
      if (skip->end)
        return;
      k += skip->count;
      continue;
    }
    symbol = symbol_of(jpeg, scan, ac);
    if (is_end(symbol))
      return;
    take(jpeg, scan, symbol & 15);
    k += (symbol >> 4) + 1;
  }
}

static void restart(j_decompress_ptr jpeg, struct scan *scan) {
  jpeg->unread_marker = scan->marker;
  jpeg->src->next_input_byte = scan->at;
  jpeg->src->bytes_in_buffer = (size_t)(scan->end - scan->at);
  jpeg->marker->read_restart_marker(jpeg);
  scan->at = jpeg->src->next_input_byte;
  scan->end = scan->at + jpeg->src->bytes_in_buffer;
  scan->bits = 0;
  scan->count = 0;
  scan->marker = 0;
  memset(scan->before, 0, sizeof scan->before);
  scan->left = jpeg->restart_interval;
}

static boolean read_unit(j_decompress_ptr jpeg, JBLOCKROW *blocks) {
  struct scan *scan = (struct scan *)jpeg->entropy;
  int i;
  if (jpeg->restart_interval) {
    if (!scan->left)
      restart(jpeg, scan);
    scan->left--;
  }
  for (i = 0; i < jpeg->blocks_in_MCU; i++)
    read_block(jpeg, scan, jpeg->MCU_membership[i], blocks[i] ? blocks[i][0] : NULL);
  return TRUE;
}

static void no_pass(j_decompress_ptr jpeg) { (void)jpeg; }

/* How many coefficients in zigzag order libjpeg's transform to `side` × `side` pixels needs. Those to 2 and 4 use high
 * frequencies, too (jidctred.c), the others those of the upper left corner. */
static int needed_for(int side) {
  int k, needed = 1;
  if (side == 2 || side == 4)
    return DCTSIZE2;
  for (k = 0; k < DCTSIZE2; k++)
    if (jpeg_natural_order[k] % DCTSIZE < side && jpeg_natural_order[k] / DCTSIZE < side)
      needed = k + 1;
  return needed;
}

void fer_read_scan(j_decompress_ptr jpeg) {
  struct table *dc[NUM_HUFF_TBLS] = {NULL}, *ac[NUM_HUFF_TBLS] = {NULL};
  struct scan *scan = jpeg->mem->alloc_small((j_common_ptr)jpeg, JPOOL_IMAGE, sizeof *scan);
  int c;
  memset(scan, 0, sizeof *scan);
  for (c = 0; c < jpeg->comps_in_scan; c++) {
    const jpeg_component_info *part = jpeg->cur_comp_info[c];
    int d = part->dc_tbl_no, a = part->ac_tbl_no;
    if (!dc[d])
      dc[d] = derived(jpeg, jpeg->dc_huff_tbl_ptrs[d], FALSE);
    if (!ac[a])
      ac[a] = derived(jpeg, jpeg->ac_huff_tbl_ptrs[a], TRUE);
    scan->channels[c].dc = dc[d];
    scan->channels[c].ac = ac[a];
    scan->channels[c].needed = part->component_needed ? needed_for(part->DCT_scaled_size) : 0;
  }
  scan->at = jpeg->src->next_input_byte;
  scan->end = scan->at + jpeg->src->bytes_in_buffer;
  scan->left = jpeg->restart_interval;
  scan->pub.start_pass = no_pass;
  scan->pub.decode_mcu = read_unit;
  jpeg->entropy = &scan->pub;
}
