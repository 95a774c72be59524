package dev.lockstep.cli.img;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

import java.util.concurrent.Callable;

/// `lockstep img`.
@Command(
        name = "img",
        description = {
            "Make, look at, check, copy and compare disk images, with qemu-img's options, output and"
                    + " exit statuses.",
            "",
            "FILE is a path, an NBD URI or json:{...}; SIZE is a number of bytes, with k, M, G or T."
                    + " A format that is not named is found out by looking."
        },
        subcommands = {
            CreateCommand.class,
            InfoCommand.class,
            CheckCommand.class,
            ConvertCommand.class,
            DdCommand.class,
            MeasureCommand.class,
            BenchCommand.class,
            MapCommand.class,
            CompareCommand.class,
            CommitCommand.class,
            RebaseCommand.class,
            ResizeCommand.class,
            SnapshotCommand.class,
            BitmapCommand.class,
            AmendCommand.class
        },
        footer = {
            "",
            "Examples:",
            "  lockstep img create -f qcow2 disk.qcow2 20G",
            "  lockstep img create -f qcow2 -b base.qcow2 -F qcow2 overlay.qcow2",
            "  lockstep img convert -p -O qcow2 disk.raw disk.qcow2",
            "  lockstep img check -r leaks disk.qcow2"
        })
public final class ImgCommand implements Callable<Integer> {
    @Spec
    @SuppressWarnings("NullAway.Init")
    private CommandSpec spec;

    @Override
    public Integer call() {
        throw new ParameterException(spec.commandLine(), "say what to do: one of its commands");
    }
}
