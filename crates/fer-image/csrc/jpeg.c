/*
 * JPEG to gray by libjpeg, in two calls that keep nothing between them: the header, then the pixels.
 *
 * libjpeg reports errors by calling a function that must not return, and warnings by calling one that does. Both are
 * here: an error, and a warning that means missing or wrong data, end the call with a code that decode/jpeg/ffi.rs knows.
 * longjmp crosses frames of C alone.
 */
#include <limits.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdnoreturn.h>
#include <string.h>

#include "scan.h"
#include <jerror.h>

/* The order is that of `Failure` in decode/jpeg/ffi.rs. */
enum failure {
  FINE,
  NO_PIXELS,
  CUT_SHORT,
  DAMAGED,
  OUT_OF_MEMORY,
  LONG_SIDE,
  CODING, /* `number` is the marker that names it */
  PRECISION,
  CHANNELS,
  SAMPLING
};

/* The same as `Job` in decode/jpeg/ffi.rs. */
struct job {
  /* Read by both calls. */
  const uint8_t *bytes;
  size_t length;
  /* Read by the second: eighths of the size; whether scan.c reads a file in one scan; the most bytes that libjpeg may
   * allocate; where width × height bytes of gray go. */
  uint32_t eighths;
  uint32_t own_scan;
  uint64_t memory;
  uint8_t *pixels;
  size_t room;
  /* Written by both: the full size, 0 × 0 if it was not read. */
  uint32_t width;
  uint32_t height;
  /* Written by the first: the bytes of coefficients (0 if the file is decoded as it is read), and where the content of
   * the Exif segment lies. */
  uint64_t coefficients;
  size_t exif_at;
  size_t exif_length;
  /* Written on failure. */
  uint32_t number;
  char message[JMSG_LENGTH_MAX];
};

struct reader {
  struct jpeg_decompress_struct jpeg;
  struct jpeg_error_mgr errors;
  struct jpeg_source_mgr source;
  jmp_buf failed;
  struct job *job;
  enum failure failure;
  /* The header is read: scans follow. */
  int scans;
  /* libjpeg asked for bytes behind the file's end. */
  int ended;
};

static struct reader *reader_of(j_common_ptr jpeg) { return (struct reader *)jpeg->client_data; }

/* ---- errors and warnings */

static noreturn void fail(j_common_ptr jpeg, enum failure failure) {
  struct reader *reader = reader_of(jpeg);
  jpeg->err->format_message(jpeg, reader->job->message);
  reader->job->number = (uint32_t)jpeg->err->msg_parm.i[0];
  reader->failure = failure;
  longjmp(reader->failed, 1);
}

static enum failure failure_of_error(j_common_ptr jpeg) {
  /* The markers of JPEG-LS and of a hierarchical file's first segment, which libjpeg does not know. */
  enum { JPEG_LS = 0xF7, HIERARCHICAL = 0xDE };
  int marker = jpeg->err->msg_parm.i[0];
  switch (jpeg->err->msg_code) {
  case JERR_EMPTY_IMAGE:
    return NO_PIXELS;
  case JERR_IMAGE_TOO_BIG:
    return LONG_SIDE;
  case JERR_SOF_UNSUPPORTED:
    return CODING;
  case JERR_UNKNOWN_MARKER:
    return marker == JPEG_LS || marker == HIERARCHICAL ? CODING : DAMAGED;
  case JERR_BAD_PRECISION:
    return PRECISION;
  case JERR_COMPONENT_COUNT:
  case JERR_CONVERSION_NOTIMPL:
    return CHANNELS;
  case JERR_FRACT_SAMPLE_NOTIMPL:
    return SAMPLING;
  case JERR_OUT_OF_MEMORY:
  case JERR_NO_BACKING_STORE:
    return OUT_OF_MEMORY;
  default:
    return reader_of(jpeg)->ended ? CUT_SHORT : DAMAGED;
  }
}

static void on_error(j_common_ptr jpeg) { fail(jpeg, failure_of_error(jpeg)); }

/* Warnings not named here are harmless: bytes between segments, an unknown version of JFIF, odd spectral bounds in a
 * sequential scan. Cameras write such files. */
static enum failure failure_of_warning(j_common_ptr jpeg) {
  switch (jpeg->err->msg_code) {
  case JWRN_HIT_MARKER:
    /* The data of a scan ended before its blocks did; libjpeg would go on with zero bits. */
    return ((j_decompress_ptr)jpeg)->unread_marker == JPEG_EOI ? CUT_SHORT : DAMAGED;
  case JWRN_HUFF_BAD_CODE:
  case JWRN_MUST_RESYNC:
  case JWRN_BOGUS_PROGRESSION:
    return DAMAGED;
  default:
    return FINE;
  }
}

/* Warnings have a level of -1, traces one of 0 or more. */
static void on_message(j_common_ptr jpeg, int level) {
  enum failure failure = level < 0 ? failure_of_warning(jpeg) : FINE;
  if (failure != FINE)
    fail(jpeg, failure);
}

/* ---- the bytes */

static void on_source(j_decompress_ptr jpeg) { (void)jpeg; }

static noreturn void cut_short(j_decompress_ptr jpeg) {
  jpeg->err->msg_code = JWRN_JPEG_EOF;
  fail((j_common_ptr)jpeg, CUT_SHORT);
}

/* Behind the last scan there is an end marker, in the file or here: a file whose last scan is complete lacks nothing
 * else. */
static boolean more_input(j_decompress_ptr jpeg) {
  static const JOCTET END[] = {0xFF, JPEG_EOI};
  struct reader *reader = reader_of((j_common_ptr)jpeg);
  if (!reader->scans)
    cut_short(jpeg);
  reader->ended = 1;
  jpeg->src->next_input_byte = END;
  jpeg->src->bytes_in_buffer = sizeof END;
  return TRUE;
}

static void skip_input(j_decompress_ptr jpeg, long count) {
  if (count <= 0)
    return;
  if ((size_t)count > jpeg->src->bytes_in_buffer) {
    more_input(jpeg);
    return;
  }
  jpeg->src->next_input_byte += count;
  jpeg->src->bytes_in_buffer -= (size_t)count;
}

/* An APP1 segment, which is Exif or XMP. The first Exif one counts. */
static boolean on_app1(j_decompress_ptr jpeg) {
  static const char NAME[] = "Exif\0";
  struct job *job = reader_of((j_common_ptr)jpeg)->job;
  struct jpeg_source_mgr *src = jpeg->src;
  size_t length, content;
  if (src->bytes_in_buffer < 2)
    return more_input(jpeg);
  length = (size_t)src->next_input_byte[0] << 8 | src->next_input_byte[1];
  content = src->bytes_in_buffer < length ? src->bytes_in_buffer : length;
  if (!job->exif_length && content > 2 + sizeof NAME && !memcmp(src->next_input_byte + 2, NAME, sizeof NAME)) {
    job->exif_at = (size_t)(src->next_input_byte - job->bytes) + 2;
    job->exif_length = content - 2;
  }
  skip_input(jpeg, length < 2 ? 2 : (long)length);
  return TRUE;
}

/* ---- the two calls */

/* Reads everything before the first scan's data. */
static void start(struct reader *reader) {
  struct job *job = reader->job;
  struct jpeg_decompress_struct *jpeg = &reader->jpeg;
  jpeg_create_decompress(jpeg);
  reader->source.init_source = on_source;
  reader->source.term_source = on_source;
  reader->source.fill_input_buffer = more_input;
  reader->source.skip_input_data = skip_input;
  reader->source.resync_to_restart = jpeg_resync_to_restart;
  reader->source.next_input_byte = job->bytes;
  reader->source.bytes_in_buffer = job->length;
  jpeg->src = &reader->source;
  jpeg_set_marker_processor(jpeg, JPEG_APP0 + 1, on_app1);
  jpeg_read_header(jpeg, TRUE);
  reader->scans = 1;
}

/* What the decoder keeps of a file in several scans. */
static uint64_t coefficients(j_decompress_ptr jpeg) {
  uint64_t blocks = 0;
  int i;
  if (!jpeg_has_multiple_scans(jpeg))
    return 0;
  for (i = 0; i < jpeg->num_components; i++) {
    const jpeg_component_info *part = &jpeg->comp_info[i];
    uint64_t across = part->width_in_blocks + (uint64_t)part->h_samp_factor - 1;
    uint64_t down = part->height_in_blocks + (uint64_t)part->v_samp_factor - 1;
    blocks += across * down;
  }
  return blocks * sizeof(JBLOCK);
}

static void open_header(struct reader *reader) {
  enum { ARITHMETIC = 0xC9 };
  struct jpeg_decompress_struct *jpeg = &reader->jpeg;
  start(reader);
  reader->job->coefficients = coefficients(jpeg);
  if (jpeg->arith_code) {
    jpeg->err->msg_code = JERR_ARITH_NOTIMPL;
    jpeg->err->msg_parm.i[0] = ARITHMETIC;
    fail((j_common_ptr)jpeg, CODING);
  }
}

/* Notes what the scan that has begun codes. What was coded in full before may not be coded again: without this a file could
 * have any number of scans over the same picture. */
static void note_scan(j_decompress_ptr jpeg, signed char known[MAX_COMPONENTS][DCTSIZE2]) {
  int first = jpeg->progressive_mode ? jpeg->Ss : 0, last = jpeg->progressive_mode ? jpeg->Se : 0;
  int refines = jpeg->progressive_mode && jpeg->Ah > 0;
  int i, k;
  for (i = 0; i < jpeg->comps_in_scan; i++) {
    signed char *bits = known[jpeg->cur_comp_info[i]->component_index];
    for (k = first; k <= last; k++) {
      if (bits[k] >= 0 && !refines) {
        jpeg->err->msg_code = JWRN_BOGUS_PROGRESSION;
        fail((j_common_ptr)jpeg, DAMAGED);
      }
      bits[k] = (signed char)(jpeg->progressive_mode ? jpeg->Al : 0);
    }
  }
}

/* Reads all scans of a file that has several. Each channel must have one; in a file without its end marker, every bit of
 * every coefficient must have come, since the file may have been cut between two scans. */
static void read_scans(struct reader *reader) {
  struct jpeg_decompress_struct *jpeg = &reader->jpeg;
  /* The lowest bit that has come of each coefficient, -1 if none has; of a sequential file, the first stands for all. */
  signed char known[MAX_COMPONENTS][DCTSIZE2];
  int i, k, scan = 0, last = jpeg->progressive_mode ? DCTSIZE2 : 1;
  memset(known, -1, sizeof known);
  while (!jpeg_input_complete(jpeg)) {
    if (jpeg->input_scan_number != scan) {
      scan = jpeg->input_scan_number;
      note_scan(jpeg, known);
    }
    jpeg_consume_input(jpeg);
  }
  for (i = 0; i < jpeg->num_components; i++)
    for (k = 0; k < last; k++)
      if ((k == 0 && known[i][k] < 0) || (reader->ended && known[i][k] != 0))
        cut_short(jpeg);
}

/* `count` pixels of cyan, magenta, yellow and black as Adobe stores them, inverted, to gray; rounded as luma.rs does. */
static void gray_of_cmyk(const JSAMPLE *from, uint8_t *to, uint32_t count) {
  for (; count; count--, from += 4) {
    uint32_t r = (from[0] * from[3] + 127u) / 255, g = (from[1] * from[3] + 127u) / 255,
             b = (from[2] * from[3] + 127u) / 255;
    *to++ = (uint8_t)((19595 * r + 38470 * g + 7471 * b + 32768) >> 16);
  }
}

static void decode_pixels(struct reader *reader) {
  struct job *job = reader->job;
  struct jpeg_decompress_struct *jpeg = &reader->jpeg;
  JSAMPARRAY inks = NULL;
  start(reader);
  if (job->memory > LONG_MAX)
    job->memory = LONG_MAX;
  jpeg->mem->max_memory_to_use = (long)job->memory;
  jpeg->out_color_space = jpeg->num_components == 4 ? JCS_CMYK : JCS_GRAYSCALE;
  jpeg->scale_num = job->eighths;
  jpeg->scale_denom = 8;
  jpeg->do_block_smoothing = FALSE;
  jpeg->buffered_image = jpeg_has_multiple_scans(jpeg);
  jpeg_start_decompress(jpeg);
  if ((uint64_t)jpeg->output_width * jpeg->output_height > job->room)
    ERREXIT(jpeg, JERR_BUFFER_SIZE);
  if (jpeg->buffered_image) {
    read_scans(reader);
    jpeg_start_output(jpeg, jpeg->input_scan_number);
  } else if (job->own_scan) {
    fer_read_scan(jpeg);
  }
  if (jpeg->out_color_space == JCS_CMYK)
    inks = jpeg->mem->alloc_sarray((j_common_ptr)jpeg, JPOOL_IMAGE, 4 * jpeg->output_width, 1);
  while (jpeg->output_scanline < jpeg->output_height) {
    JSAMPROW row = job->pixels + (size_t)jpeg->output_scanline * jpeg->output_width;
    jpeg_read_scanlines(jpeg, inks ? inks : &row, 1);
    if (inks)
      gray_of_cmyk(inks[0], row, jpeg->output_width);
  }
}

static void guarded(struct reader *reader, void (*call)(struct reader *)) {
  if (!setjmp(reader->failed))
    call(reader);
}

/* Runs one of the calls; what it allocated is freed on every way out. */
static int run(struct job *job, void (*call)(struct reader *)) {
  struct reader reader;
  memset(&reader, 0, sizeof reader);
  reader.job = job;
  reader.jpeg.err = jpeg_std_error(&reader.errors);
  reader.errors.error_exit = on_error;
  reader.errors.emit_message = on_message;
  reader.jpeg.client_data = &reader;
  guarded(&reader, call);
  job->width = reader.jpeg.image_width;
  job->height = reader.jpeg.image_height;
  jpeg_destroy_decompress(&reader.jpeg);
  return reader.failure;
}

int fer_jpeg_open(struct job *job) { return run(job, open_header); }

int fer_jpeg_decode(struct job *job) { return run(job, decode_pixels); }
