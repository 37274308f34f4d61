/* Reads the one scan of a sequential Huffman JPEG in place of libjpeg's reader; see scan.c. */
#ifndef FER_SCAN_H
#define FER_SCAN_H

#include <stdio.h>

#include <jpeglib.h>

/* To be called after jpeg_start_decompress and before the first row, for a file in one scan. */
void fer_read_scan(j_decompress_ptr jpeg);

#endif
