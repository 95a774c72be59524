/// Tests of jobs on chains of images.
@NullMarked
package dev.lockstep.block.job;

import org.jspecify.annotations.NullMarked;
