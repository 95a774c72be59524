/// Reading what is left of a damaged disk.
///
/// [SalvageDevice] passes reads on. One that fails because the medium or the image's own tables are
/// damaged is done again, a sector of 512 bytes at a time; the sectors that still fail read as
/// zeroes, and each is told of. A disk that is gone, or too slow to answer, is not read sector by
/// sector: those failures pass.
@NullMarked
package dev.lockstep.block.filter.salvage;

import org.jspecify.annotations.NullMarked;
