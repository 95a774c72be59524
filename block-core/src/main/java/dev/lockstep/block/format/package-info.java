/// What the formats of images have in common: the file that an image lies in ([HostFile]), and how
/// its checkers speak ([Findings] of one pass, [CheckResult], [Repair]) within a [MemoryBudget],
/// which [Counts] keep to.
@NullMarked
package dev.lockstep.block.format;

import org.jspecify.annotations.NullMarked;
