/// Tests of the command line without a process.
@NullMarked
package dev.lockstep.cli;

import org.jspecify.annotations.NullMarked;
