package io.github.panascope.torch;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Whatever an operator is given, the process goes on, or the operator is one that refused_names.h lists: random
 * operators with random arguments in processes that are watched. How many: {@code -Dpanascope.operators.calls=1000000};
 * which: {@code -Dpanascope.operators.seed=7}, and {@code -Dpanascope.operators.named=linalg}; with a collection after
 * every few calls: {@code -Dpanascope.operators.collect=1}.
 */
class OperatorFuzzTest {
    private static final int CALLS = Integer.getInteger("panascope.operators.calls", 4000);
    private static final long SEED = Long.getLong("panascope.operators.seed", 1);
    private static final String NAMED = System.getProperty("panascope.operators.named", "");
    private static final int COLLECT_EVERY = Integer.getInteger("panascope.operators.collect", 1000);
    /** Address space of a process: what asks for more is told so, and the machine lives. */
    private static final long KILOBYTES = 24L << 20;

    private static final long SECONDS_FOR_A_CALL = 10;

    @TempDir
    private Path folder;

    private final List<String> unexpected = new ArrayList<>();
    private long returned;
    private long refused;
    private long hanging;
    private int slowStarts;
    private final List<String> deaths = new ArrayList<>();

    @Test
    void noOperatorEndsTheProcess() throws Exception {
        long next = 0;
        while (next < CALLS) next = run(next);
        String figures = returned + " returned, " + refused + " were refused, " + hanging + " were ended after "
                + SECONDS_FOR_A_CALL + " s, " + deaths.size() + " ended the process";
        System.out.println("operators: of " + CALLS + " calls " + figures);
        assertEquals(List.of(), deaths);
        assertEquals(List.of(), unexpected);
        assertEquals(CALLS, returned + refused + hanging);
        assertTrue(returned > CALLS / 10, figures);
    }

    /** Of paths that hold here: the processes run in a folder of their own, as some operators write files. */
    private static String absolute(String classPath) {
        return Arrays.stream(classPath.split(File.pathSeparator))
                .map(path -> Path.of(path).toAbsolutePath().toString())
                .collect(Collectors.joining(File.pathSeparator));
    }

    /** Runs a process from one call on, and says where the next one is to begin. */
    private long run(long first) throws IOException, InterruptedException {
        Path journal = folder.resolve("journal");
        Path printed = folder.resolve("printed");
        Files.write(journal, new byte[OperatorCaller.JOURNAL_BYTES]);
        List<String> command = new ArrayList<>(List.of(
                "bash",
                "-c",
                "ulimit -c 0; ulimit -v " + KILOBYTES + " && exec \"$@\"",
                "bash",
                ProcessHandle.current().info().command().orElseThrow(),
                "--enable-native-access=ALL-UNNAMED",
                "-Xmx512m",
                "-XX:+UseSerialGC",
                "-XX:-CreateCoredumpOnCrash",
                "-XX:ErrorFile=" + folder.resolve("error"),
                "-cp",
                absolute(System.getProperty("java.class.path")),
                OperatorCaller.class.getName(),
                journal.toString(),
                Long.toString(SEED),
                Long.toString(first),
                Integer.toString(CALLS),
                Integer.toString(COLLECT_EVERY),
                NAMED));
        Process process = new ProcessBuilder(command)
                .directory(folder.toFile())
                .redirectErrorStream(true)
                .redirectOutput(printed.toFile())
                .start();
        long before = -1;
        long since = System.nanoTime();
        boolean hung = false;
        while (process.isAlive()) {
            Thread.sleep(50);
            long now = ByteBuffer.wrap(Files.readAllBytes(journal)).getLong(0);
            if (now != before) {
                before = now;
                since = System.nanoTime();
            } else if (System.nanoTime() - since > SECONDS_FOR_A_CALL * 1_000_000_000L) {
                hung = true;
                process.destroyForcibly();
                process.waitFor();
            }
        }
        String text = Files.readString(printed, StandardCharsets.ISO_8859_1);
        text.lines().filter(line -> line.startsWith("UNEXPECTED ")).forEach(unexpected::add);
        ByteBuffer last = ByteBuffer.wrap(Files.readAllBytes(journal));
        returned += last.getLong(OperatorCaller.RETURNED);
        refused += last.getLong(OperatorCaller.REFUSED);
        if (process.exitValue() == 0) {
            assertTrue(text.lines().anyMatch("handles 0"::equals), "handles that were not freed: " + text);
            return CALLS;
        }
        long call = last.getLong(0);
        byte[] what = new byte[last.getInt(OperatorCaller.LENGTH)];
        last.get(OperatorCaller.TEXT, what);
        String frame = text.lines()
                .filter(line -> line.startsWith("# C ") || line.startsWith("# V "))
                .findFirst()
                .orElse(text.lines()
                        .filter(line -> !line.isBlank())
                        .reduce((a, b) -> b)
                        .orElse(""));
        if (call < first && hung && slowStarts++ < 10) return first; // on a machine that is busy with other things
        if (call < first) throw new IOException("the process did not begin: " + text);
        if (hung) { // some work for as long as their arguments say
            hanging++;
            return call + 1;
        }
        deaths.add("exit code " + process.exitValue() + " in call " + call + ": "
                + new String(what, StandardCharsets.UTF_8) + " | " + frame + "\n");
        System.out.println(deaths.getLast());
        return call + 1;
    }
}
