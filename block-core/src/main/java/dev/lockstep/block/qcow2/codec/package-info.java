/// Compressed clusters: a cluster to a few bytes and back, and a cache of clusters that were
/// decompressed. Knows nothing of tables and refcounts.
///
/// A [ClusterCodec] does one cluster at a time, by deflate without a header ("zlib" in qcow2.txt)
/// or zstd. The format says nothing of a window, but QEMU inflates with one of 4 KiB. It happens to
/// read larger ones, because it inflates a cluster in one call; others need not. So what is written
/// here never reaches back further than 4 KiB, which the JDK's `Deflater` cannot be told: libz does
/// it, and where there is none the JDK's forgets everything every 4 KiB, which costs a tenth of the
/// savings.
///
/// Decompressing trusts nothing: it stops when a cluster is full, however much there would be, uses
/// a fixed amount of memory, and says CORRUPT when there is less. What follows the compressed bytes
/// is ignored, since an entry knows its length only in sectors.
///
/// A codec's native states are pooled for the whole process, as many as there are cores at rest;
/// threads would be the wrong owner, since virtual ones come and go. Compressing and decompressing
/// occupies the carrier for as long as it takes: 2 ms to deflate 64 KiB. Nothing here is loaded
/// before it is used; zstd's library is unpacked to the folder for temporary files then.
@NullMarked
package dev.lockstep.block.qcow2.codec;

import org.jspecify.annotations.NullMarked;
