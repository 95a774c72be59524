package dev.lockstep.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.colo.PairTls;
import dev.lockstep.colo.PrimaryOptions;
import dev.lockstep.colo.SecondaryOptions;
import dev.lockstep.colo.SecondaryOptions.Buffers;
import dev.lockstep.colo.machine.OnPeerLoss;
import dev.lockstep.colo.machine.SyncMode;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.NbdUri;

import org.junit.jupiter.api.Test;

import picocli.CommandLine;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

class CommandLineTest {
    @Test
    void every_command_has_help_with_its_purpose_options_and_an_example() {
        List<CommandLine> commands = new ArrayList<>();
        collect(Main.commandLine(), commands);
        assertTrue(commands.size() > 12, () -> commands.size() + " commands");
        for (CommandLine command : commands) {
            String help = command.getUsageMessage(CommandLine.Help.Ansi.OFF);
            String name = command.getCommandSpec().qualifiedName();
            assertTrue(help.startsWith("Usage: " + name), help);
            assertTrue(help.contains("--help"), help);
            assertTrue(help.contains("--version"), help);
            assertTrue(help.contains("Example") || help.contains("A pair by hand"), help);
            command.getCommandSpec()
                    .options()
                    .forEach(option -> assertTrue(option.description().length > 0, name));
        }
    }

    @Test
    void bytes_are_read_with_their_unit() {
        assertEquals(0, Converters.bytes("0").count());
        assertEquals(1234, Converters.bytes("1234").count());
        assertEquals(8 << 10, Converters.bytes("8k").count());
        assertEquals(8L << 30, Converters.bytes("8GiB").count());
        assertEquals(3L << 29, Converters.bytes("1.5G").count());
        assertEquals(512, Converters.bytes("0x200").count());
        for (String wrong : List.of("", "-1", "1.5", "1X", "99999999999999T")) {
            assertThrows(IllegalArgumentException.class, () -> Converters.bytes(wrong), wrong);
        }
    }

    @Test
    void seconds_may_have_a_fraction() {
        assertEquals(Duration.ofMillis(500), Converters.seconds("0.5"));
        assertEquals(Duration.ofSeconds(30), Converters.seconds("30"));
        for (String wrong : List.of("", "-1", "1s", "1e3", "NaN")) {
            assertThrows(IllegalArgumentException.class, () -> Converters.seconds(wrong), wrong);
        }
    }

    @Test
    void names_of_pairs_are_short_and_plain() {
        for (String good : List.of("a", "vm1", "A.b_c-d", "x".repeat(31))) {
            assertEquals(good, secondary(good, "127.0.0.1:1", false).name());
        }
        for (String bad : List.of("", "1vm", "a/b", "a b", "x".repeat(32), "\u00e4")) {
            assertThrows(
                    IllegalArgumentException.class, () -> secondary(bad, "127.0.0.1:1", false));
        }
    }

    @Test
    void an_address_that_others_reach_has_to_be_called_insecure() {
        for (String open : List.of("0.0.0.0:1", "[::]:1", "192.0.2.1:1")) {
            IllegalArgumentException refused =
                    assertThrows(
                            IllegalArgumentException.class, () -> secondary("vm1", open, false));
            assertTrue(refused.toString().contains("--insecure"), refused::toString);
            assertEquals("vm1", secondary("vm1", open, true).name());
            assertThrows(IllegalArgumentException.class, () -> primary("vm1", open, false));
        }
        for (String local : List.of("127.0.0.1:1", "[::1]:1", "localhost:1", "unix:/run/x")) {
            assertEquals("vm1", secondary("vm1", local, false).name());
            assertEquals("vm1", primary("vm1", local, false).name());
        }
    }

    @Test
    void the_name_of_the_pair_is_the_export_of_the_secondary() {
        IllegalArgumentException refused =
                assertThrows(
                        IllegalArgumentException.class, () -> primary("vm2", "unix:/run/x", false));
        assertTrue(refused.toString().contains("'vm1'"), refused::toString);
    }

    private static void collect(CommandLine command, List<CommandLine> all) {
        all.add(command);
        command.getSubcommands().values().forEach(sub -> collect(sub, all));
    }

    private static SecondaryOptions secondary(String name, String monitor, boolean insecure) {
        return new SecondaryOptions(
                name,
                Path.of("S.raw"),
                "raw",
                new Buffers.Ram(),
                Address.parse("127.0.0.1:2"),
                Address.parse("unix:/run/s"),
                Address.parse(monitor),
                Path.of("S.raw.lockstep"),
                SecondaryOptions.RAM_LIMIT_BYTES_DEFAULT,
                false,
                insecure,
                PairTls.NONE);
    }

    private static PrimaryOptions primary(String name, String monitor, boolean insecure) {
        return new PrimaryOptions(
                name,
                Path.of("P.raw"),
                "raw",
                NbdUri.parse("nbd://192.0.2.2:10809/vm1"),
                Address.parse("192.0.2.2:4444"),
                Address.parse("unix:/run/p"),
                Address.parse(monitor),
                Path.of("P.raw.lockstep"),
                SyncMode.UNSPECIFIED,
                OnPeerLoss.CONTINUE,
                PrimaryOptions.IO_TIMEOUT_DEFAULT,
                Optional.empty(),
                false,
                insecure,
                PairTls.NONE);
    }
}
