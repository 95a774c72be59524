package dev.lockstep.cli;

import dev.lockstep.cli.img.ImgCommand;
import dev.lockstep.cli.io.IoCommand;
import dev.lockstep.colo.Release;

import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.IVersionProvider;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine.RunLast;
import picocli.CommandLine.Spec;

import java.util.List;
import java.util.concurrent.Callable;

/// The program.
@Command(
        name = "lockstep",
        description =
                "Serves virtual disks over NBD and keeps two hosts' copies of one in lockstep.",
        footer = {
            "",
            "Examples:",
            "  lockstep demo                     a pair, a crash, a failover: the whole story",
            "  lockstep nbd -f raw -t disk.raw   serve a disk, as qemu-nbd does",
            "  lockstep copy nbd://a local.raw   copy one, as nbdcopy does",
            "  lockstep colo --help              how to run a pair",
            "",
            "Every error is one sentence on standard error and exit status 1."
        })
public final class Main implements Callable<Integer> {

    /// What the longest line of an example needs.
    private static final int HELP_COLUMNS = 100;

    private static final String VERBOSE = "--verbose";

    /// In the order of the help.
    private static final List<String> COMMANDS =
            List.of("nbd", "info", "copy", "img", "io", "colo", "demo");

    /// The commands that take a server's command in brackets.
    private static final List<String> WITH_SERVERS = List.of("info", "copy");

    @Spec
    @SuppressWarnings("NullAway.Init")
    private CommandSpec spec;

    /// What `--version` prints.
    static final class Version implements IVersionProvider {
        @Override
        public String[] getVersion() {
            return new String[] {
                "lockstep " + Release.VERSION,
                "Java " + Runtime.version() + ", " + System.getProperty("java.vm.name")
            };
        }
    }

    private Main() {}

    /// Runs one command and exits with its status.
    public static void main(String[] arguments) {
        EarlyEnd.expect(arguments);
        int status = execute(arguments);
        EarlyEnd.over();
        System.out.flush();
        if (status == 0) {
            // What succeeded has closed all that it opened, and leaves hooks nothing to do.
            // exit() would first load a logging system, to find that nobody wants to know.
            Runtime.getRuntime().halt(0);
        }
        System.exit(status);
    }

    private static int execute(String... arguments) {
        CommandLine commandLine = commandLine(arguments);
        CommandLine used =
                commandLine.getSubcommands().get(arguments.length == 0 ? "" : arguments[0]);
        if (used == null || !WITH_SERVERS.contains(used.getCommandName())) {
            return commandLine.execute(arguments);
        }
        try {
            return commandLine.execute(ServerPlace.fold(arguments));
        } catch (UsageError e) {
            return Failure.of(e, used);
        }
    }

    @Override
    public Integer call() {
        spec.commandLine().usage(System.out);
        return 0;
    }

    /// The commands that these arguments may mean. Making one loads half of what it needs, so where
    /// the first argument names one it is made alone.
    static CommandLine commandLine(String... arguments) {
        CommandLine commandLine = new CommandLine(new Main());
        String first = arguments.length == 0 ? "" : arguments[0];
        String second = arguments.length < 2 ? "" : arguments[1];
        (COMMANDS.contains(first) ? List.of(first) : COMMANDS)
                .forEach(name -> commandLine.addSubcommand(name, command(name, second)));
        Converters.register(commandLine);
        commandLine
                .setCaseInsensitiveEnumValuesAllowed(true)
                .setUsageHelpWidth(HELP_COLUMNS)
                .setExpandAtFiles(false)
                .setParameterExceptionHandler(Failure::ofParsing)
                .setExecutionExceptionHandler(Failure::ofRunning)
                .setExecutionStrategy(Main::run);
        configure(commandLine);
        return commandLine;
    }

    private static Object command(String name, String second) {
        return switch (name) {
            case "nbd" -> new NbdCommand();
            case "info" -> new InfoCommand();
            case "copy" -> new CopyCommand();
            case "img" -> ImgCommand.commandLine(second);
            case "io" -> new IoCommand();
            case "colo" -> new ColoCommand();
            case "demo" -> new DemoCommand();
            default -> throw new IllegalArgumentException(name);
        };
    }

    /// Gives every command the options that all have.
    private static void configure(CommandLine commandLine) {
        CommandSpec spec = commandLine.getCommandSpec();
        switch (spec.userObject()) {
            // As with QEMU's and libnbd's tools, the last of repeated options counts, and a long
            // option may be cut short where it is clear which is meant; in subcommands as well.
            case NbdCommand _, InfoCommand _, ImgCommand _, IoCommand _ -> {
                commandLine.setOverwrittenOptionsAllowed(true);
                commandLine.setAbbreviatedOptionsAllowed(true);
            }
            // picocli takes a lone '-' for an option that was cut short, and stumbles over it.
            case CopyCommand _ -> commandLine.setOverwrittenOptionsAllowed(true);
            default -> {}
        }
        spec.mixinStandardHelpOptions(true);
        spec.versionProvider(new Version());
        spec.usageMessage()
                .sortOptions(false)
                .parameterListHeading("%n")
                .commandListHeading("%nCommands:%n");
        if (spec.positionalParameters().isEmpty()) {
            spec.usageMessage().optionListHeading("%n");
        }
        spec.addOption(
                OptionSpec.builder("-v", VERBOSE)
                        .arity("0")
                        .type(boolean[].class)
                        .description(
                                "Log more to standard error; twice for everything. The environment"
                                        + " variable LOCKSTEP_LOG (off, error, warn, info, debug,"
                                        + " trace) does the same.")
                        .build());
        commandLine.getSubcommands().values().forEach(Main::configure);
    }

    private static int run(ParseResult parsed) {
        ParseResult last = parsed;
        int verbosity = verbosity(parsed);
        while (last.hasSubcommand()) {
            last = last.subcommand();
            verbosity += verbosity(last);
        }
        try {
            Log.configure(verbosity);
        } catch (UsageError e) {
            return Failure.ofRunning(e, last.commandSpec().commandLine(), last);
        }
        return new RunLast().execute(parsed);
    }

    private static int verbosity(ParseResult parsed) {
        boolean[] none = {};
        return parsed.matchedOptionValue(VERBOSE, none).length;
    }
}
