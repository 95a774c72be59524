package dev.lockstep.colo.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// `docs/replication-states.md` says what the code does, cell by cell.
///
/// A difference is a decision: read it, then run with `-Dlockstep.write=true` to accept it.
class StatesDocumentTest {
    private static final Path DOCUMENT =
            Path.of("..", "docs", "replication-states.md").toAbsolutePath().normalize();
    private static final Nonce NEXT = new Nonce(2, 2);
    private static final Nonce OTHER = new Nonce(3, 3);
    private static final Settings SETTINGS = new Settings(OnPeerLoss.CONTINUE, 1, true);

    @Test
    void the_document_agrees_with_the_code() throws IOException {
        String document =
                String.join(
                        "\n\n",
                        introduction(),
                        starts(),
                        joins(SyncMode.UNSPECIFIED),
                        joins(SyncMode.FULL),
                        failovers(),
                        states());
        if (Boolean.getBoolean("lockstep.write")) {
            Files.createDirectories(DOCUMENT.getParent());
            Files.writeString(DOCUMENT, document + "\n");
        }
        assertEquals(Files.readString(DOCUMENT), document + "\n");
    }

    private static String introduction() {
        return """
        # Stored states and what becomes of them

        Checked against the code by `StatesDocumentTest`. A disk's state file holds one of the states
        in the first column. *Clean* means that the side was stopped cleanly, *open* that it was not.

        *Buffers on disk* are those of `--durable`. If a start does not find them, because it is not
        durable or its folder is another one, it reads the record as if it said "buffers in memory".

        Each cell of the first four tables is shown on the running program by `StoredStateTest`,
        which reads its expectations here.""";
    }

    private static String starts() {
        StringBuilder table = new StringBuilder("## Starting\n\n");
        table.append("| stored | `colo secondary` | with `--force` | `colo primary` |");
        table.append(" with `--force` |\n|---|---|---|---|---|");
        StoredStates.of(NEXT)
                .forEach(
                        (name, record) -> {
                            table.append("\n| ").append(name);
                            for (Role role : List.of(Role.SECONDARY, Role.PRIMARY)) {
                                for (boolean force : new boolean[] {false, true}) {
                                    StartDecision decision =
                                            StartDecision.decide(record, role, force);
                                    table.append(" | ").append(cell(decision));
                                }
                            }
                            table.append(" |");
                        });
        return table.toString();
    }

    private static String cell(StartDecision decision) {
        return switch (decision) {
            case StartDecision.Join(boolean alone) ->
                    alone
                            ? "asks its secondary to join; out of reach: serves alone"
                            : "asks its secondary to join; out of reach: ends";
            case StartDecision.Follow(State state) ->
                    "`" + state.label() + "`, waits for a primary";
            case StartDecision.ServeOn(State state) ->
                    "serves on as the primary, `" + state.label() + "`";
            case StartDecision.Refuse(String reason) -> "refused: " + first(reason);
        };
    }

    private static String joins(SyncMode sync) {
        StringBuilder table = new StringBuilder();
        table.append(
                sync == SyncMode.FULL
                        ? "## Joining with `--sync full` and without `--force`\n\n"
                        : "## Joining without `--sync`\n\n");
        table.append(
                """
                Rows: what the primary has stored; columns: the secondary. Both belong to one pair, and whoever
                went alone or was promoted did so in a generation of its own.

                | primary \\ secondary""");
        Map<String, Optional<DurableRecord>> columns = StoredStates.of(OTHER);
        Map<String, Optional<DurableRecord>> rows = StoredStates.of(NEXT);
        columns.keySet().removeIf(name -> name.endsWith("on disk") || name.contains("alone, open"));
        columns.keySet().forEach(name -> table.append(" | ").append(name));
        table.append(" |\n|---").append("|---".repeat(columns.size())).append('|');
        for (String name :
                List.of(
                        "nothing",
                        "primary, paired, clean",
                        "primary, paired, open",
                        "primary, alone, clean",
                        "secondary, clean",
                        "promoted")) {
            Optional<DurableRecord> ours = rows.getOrDefault(name, Optional.empty());
            table.append("\n| ").append(name);
            columns.values()
                    .forEach(
                            theirs ->
                                    table.append(" | ")
                                            .append(
                                                    cell(
                                                            JoinDecision.decide(
                                                                    ours, theirs, sync, false))));
            table.append(" |");
        }
        return table.toString();
    }

    private static String cell(JoinDecision decision) {
        return switch (decision) {
            case JoinDecision.Resume resume -> "**goes on**";
            case JoinDecision.Trust trust -> "goes on";
            case JoinDecision.FullSync full -> "copies";
            case JoinDecision.Refuse(String reason) -> "refused: " + first(reason);
        };
    }

    private static String failovers() {
        StringBuilder table =
                new StringBuilder("## Failing over a secondary that was started again\n\n");
        table.append("| stored | `--to checkpoint` | `--to latest` | `--to checkpoint --force` |");
        table.append(" `--to latest --force` |\n|---|---|---|---|---|");
        StoredStates.of(NEXT)
                .forEach(
                        (name, record) -> {
                            if (!(StartDecision.decide(record, Role.SECONDARY, true)
                                    instanceof StartDecision.Follow follow)) {
                                return;
                            }
                            Node node =
                                    Machine.startSecondary(
                                                    follow,
                                                    SETTINGS,
                                                    record,
                                                    true,
                                                    NEXT,
                                                    new Moment(0, NEXT))
                                            .node();
                            table.append("\n| ").append(name);
                            for (boolean force : new boolean[] {false, true}) {
                                for (FailoverTo to : FailoverTo.values()) {
                                    table.append(" | ")
                                            .append(
                                                    Promotion.refusal(node, to, force)
                                                            .map(it -> "refused: " + first(it))
                                                            .orElse("obeys"));
                                }
                            }
                            table.append(" |");
                        });
        return table.toString();
    }

    private static String first(String sentence) {
        int end = sentence.indexOf(';');
        return end < 0 ? sentence : sentence.substring(0, end);
    }

    private static String states() {
        StringBuilder table = new StringBuilder("## States while running\n\n");
        table.append("| state | a side in it | may become |\n|---|---|---|");
        for (State state : State.values()) {
            table.append("\n| `").append(state.label()).append("` | ").append(state.sentence());
            table.append(" | ");
            for (State next : State.values()) {
                if (next != state && state.mayBecome(next)) {
                    table.append('`').append(next.label()).append("` ");
                }
            }
            table.append('|');
        }
        return table.toString();
    }
}
