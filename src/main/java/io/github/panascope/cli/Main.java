package io.github.panascope.cli;

import io.github.panascope.tokens.Tokenizer;
import io.github.panascope.torch.Torch;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import picocli.CommandLine;
import picocli.CommandLine.Command;

/**
 * The entry point on Java 22 and newer. Exit codes: 0 for success, 1 for a failure, 2 for input that cannot be used.
 */
@Command(
        name = "panascope",
        mixinStandardHelpOptions = true,
        versionProvider = Version.class,
        description = "Opens up GPT-2 with sparse autoencoders, through libtorch.",
        subcommands = {
            TutorialCommand.class,
            PromptCommand.class,
            SaesCommand.class,
            CheckSaeCommand.class,
            EvalCommand.class,
            DashboardCommand.class,
            MergeCommand.class,
            ServeCommand.class,
            FetchCommand.class,
            DoctorCommand.class,
            BenchCommand.class,
            CommandLine.HelpCommand.class
        })
public final class Main {
    /** The commands that run a model. */
    private static final Set<String> NATIVE = Set.of("tutorial", "prompt", "check-sae", "eval", "dashboard");

    private static final StandardOutput OUT = new StandardOutput();

    private Main() {}

    /**
     * A stream that remembers whether writing failed because the reader closed the pipe, as {@code | head} does. That
     * is not a failure of the command.
     */
    private static final class StandardOutput extends FilterOutputStream {
        private boolean brokenPipe;

        StandardOutput() {
            super(new FileOutputStream(FileDescriptor.out));
        }

        boolean brokenPipe() {
            return brokenPipe;
        }

        @Override
        public void write(byte[] bytes, int offset, int length) throws IOException {
            try {
                out.write(bytes, offset, length);
            } catch (IOException e) {
                brokenPipe |= "Broken pipe".equals(e.getMessage());
                throw e;
            }
        }
    }

    /** Runs a command and ends the process with its exit code. */
    public static void main(String[] args) {
        endWith(System.getProperty("panascope.parent"));
        // Tokens are printed in UTF-8 regardless of the locale, as TransformerLens and SAELens print them.
        System.setOut(new PrintStream(OUT, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(new FileOutputStream(FileDescriptor.err), true, StandardCharsets.UTF_8));
        System.exit(runAndSay(args));
    }

    /**
     * Starts to load libtorch and the tokenizer in the background. Errors are ignored here, because they occur again
     * where the command uses them.
     */
    private static void prepare(String[] args) {
        if (args.length == 0 || !NATIVE.contains(args[0]) || Arrays.asList(args).contains("--help")) return;
        for (Runnable work : List.<Runnable>of(Torch::version, Tokenizer::gpt2)) {
            Thread.ofPlatform().daemon().name("panascope-start").start(() -> {
                try {
                    work.run();
                } catch (RuntimeException | Error e) {
                    // reported when the command uses it
                }
            });
        }
    }

    /**
     * Ends this process together with the process of an older Java that started it, however that one ends. Otherwise
     * this process would keep its lock and its memory.
     */
    private static void endWith(String parent) {
        if (parent == null) return;
        ProcessHandle.of(Long.parseLong(parent))
                .ifPresentOrElse(
                        process -> process.onExit()
                                .thenRun(() -> Runtime.getRuntime().halt(CommandRunner.FAILED)),
                        () -> Runtime.getRuntime().halt(CommandRunner.FAILED));
    }

    /**
     * Runs a command as {@link #run} does, and prints a message for unforeseen errors and for output that could not be
     * written.
     */
    private static int runAndSay(String... args) {
        int status;
        try {
            prepare(args);
            status = run(args);
        } catch (OutOfMemoryError e) {
            return unforeseen(
                    args, e, "Java's memory is used up (" + e.getMessage() + "): java -Xmx16g -jar ... gives it 16 GB");
        } catch (Throwable e) {
            return unforeseen(args, e, e.toString());
        }
        if (status == 0 && System.out.checkError() && !OUT.brokenPipe()) {
            System.err.println("panascope: what it printed could not be written to standard output.");
            return CommandRunner.FAILED;
        }
        return status;
    }

    private static int unforeseen(String[] args, Throwable e, String message) {
        Progress.clear();
        System.err.println("panascope: " + message);
        if (Arrays.asList(args).contains("--debug")) e.printStackTrace();
        return CommandRunner.FAILED;
    }

    /** Runs a command with the streams of the process, and returns its exit code. */
    static int run(String... args) {
        return CommandRunner.run(
                new Main(), "(--debug shows where it happened, `panascope doctor` looks at the installation)", args);
    }
}
