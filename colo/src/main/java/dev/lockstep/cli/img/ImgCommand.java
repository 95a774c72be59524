package dev.lockstep.cli.img;

import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

import java.util.List;
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
        footer = {
            "",
            "Examples:",
            "  lockstep img create -f qcow2 disk.qcow2 20G",
            "  lockstep img create -f qcow2 -b base.qcow2 -F qcow2 overlay.qcow2",
            "  lockstep img convert -p -O qcow2 disk.raw disk.qcow2",
            "  lockstep img check -r leaks disk.qcow2"
        })
public final class ImgCommand implements Callable<Integer> {
    /// In the order of the help.
    private static final List<String> COMMANDS =
            List.of(
                    "create",
                    "info",
                    "check",
                    "convert",
                    "dd",
                    "measure",
                    "bench",
                    "map",
                    "compare",
                    "commit",
                    "rebase",
                    "resize",
                    "snapshot",
                    "bitmap",
                    "amend");

    @Spec
    @SuppressWarnings("NullAway.Init")
    private CommandSpec spec;

    /// The command with its subcommands. Reading what one takes is slow, so where a name is that of
    /// one, it has that one alone.
    public static CommandLine commandLine(String name) {
        CommandLine commandLine = new CommandLine(new ImgCommand());
        (COMMANDS.contains(name) ? List.of(name) : COMMANDS)
                .forEach(each -> commandLine.addSubcommand(each, command(each)));
        return commandLine;
    }

    private static Object command(String name) {
        return switch (name) {
            case "create" -> new CreateCommand();
            case "info" -> new InfoCommand();
            case "check" -> new CheckCommand();
            case "convert" -> new ConvertCommand();
            case "dd" -> new DdCommand();
            case "measure" -> new MeasureCommand();
            case "bench" -> new BenchCommand();
            case "map" -> new MapCommand();
            case "compare" -> new CompareCommand();
            case "commit" -> new CommitCommand();
            case "rebase" -> new RebaseCommand();
            case "resize" -> new ResizeCommand();
            case "snapshot" -> new SnapshotCommand();
            case "bitmap" -> new BitmapCommand();
            case "amend" -> new AmendCommand();
            default -> throw new IllegalArgumentException(name);
        };
    }

    @Override
    public Integer call() {
        throw new ParameterException(spec.commandLine(), "say what to do: one of its commands");
    }
}
