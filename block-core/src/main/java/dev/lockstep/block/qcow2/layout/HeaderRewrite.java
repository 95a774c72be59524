package dev.lockstep.block.qcow2.layout;

import java.nio.ByteBuffer;

/// How a header takes the place of another so that a power cut leaves either the one or the other:
/// what lies beyond the first sector is written first, then the sector that leads to it, each
/// durably. What the old header had beyond the first sector can be cleared then.
///
/// Extensions that do not fit into the first sector move by `header_length`, so until what is stale
/// is cleared it may look like fields that nobody knows.
///
/// That holds wherever the first cluster has room for what both have beyond the first sector;
/// clusters of 4 KiB always have it for the names of two backing files.
///
/// @param beyondAt where the part beyond the first sector lies
/// @param beyond that part; empty if there is none
/// @param firstSector the rest
/// @param stale what only the old header used
public record HeaderRewrite(
        int beyondAt, ByteBuffer beyond, ByteBuffer firstSector, HeaderSpace stale) {}
