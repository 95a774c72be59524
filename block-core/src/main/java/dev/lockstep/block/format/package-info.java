/// What the formats of images have in common: the file that an image lies in ([HostFile], and
/// [FreshFile] for a new image), what is read where it has nothing ([Backing]), the answer to what
/// it is made of ([Extents]), and how its checkers speak ([Findings] of one pass, [CheckResult],
/// [Repair]) within a [MemoryBudget], which [Counts] keep to.
@NullMarked
package dev.lockstep.block.format;

import org.jspecify.annotations.NullMarked;
