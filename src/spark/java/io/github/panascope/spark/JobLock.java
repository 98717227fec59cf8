package io.github.panascope.spark;

import io.github.panascope.InputException;
import io.github.panascope.RunInterruptedException;
import java.time.Duration;
import java.util.UUID;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.apache.spark.api.java.JavaSparkContext;
import scala.Option;

/**
 * A file that says that a job writes to a folder. Hadoop file systems have no locks: the job writes the file again
 * from time to time, and a file that was not written for a while belongs to a job that was killed. Even if two jobs
 * should write at once, each reads only what markers name.
 */
final class JobLock implements AutoCloseable {
    private static final String NAME = "_running";
    private static final Duration WRITTEN_EVERY = Duration.ofSeconds(10);
    /** The age of a file whose job was killed, unless {@code spark.panascope.lock.timeout} says another. */
    private static final Duration DEAD = Duration.ofSeconds(60);

    private static final int WRITES_BEFORE_DEAD = 6;
    /** The timeout, divided by this, is how long a job that takes a lock over waits for others that do. */
    private static final int OTHERS = 30;

    private final HadoopFiles folder;
    private final String content;
    private final ScheduledExecutorService writer;
    private volatile boolean lost;

    private JobLock(HadoopFiles folder, String content, Duration every) {
        this.folder = folder;
        this.content = content;
        writer = Executors.newSingleThreadScheduledExecutor(
                Thread.ofPlatform().daemon().name("panascope-lock").factory());
        writer.scheduleAtFixedRate(this::write, every.toMillis(), every.toMillis(), TimeUnit.MILLISECONDS);
    }

    /**
     * Takes the lock of a folder.
     *
     * @throws InputException if another job writes to the folder
     */
    static JobLock take(JavaSparkContext context, HadoopFiles folder) {
        Duration dead = Duration.ofSeconds(
                context.sc().conf().getTimeAsSeconds("spark.panascope.lock.timeout", DEAD.toSeconds() + "s"));
        String content = owner(context) + " " + UUID.randomUUID() + "\n";
        if (!folder.create(NAME, content)) {
            long age = folder.now() - folder.modified(NAME);
            if (age < dead.toMillis() && !isOfEarlierAttempt(context, folder))
                throw new InputException(folder + " is being written by another job, " + owner(folder)
                        + ": wait for it, or use another folder. If that job was killed, submit this one again in "
                        + Math.max(1, dead.toSeconds() - age / 1000) + " seconds.");
            folder.put(NAME, content);
            pause(dead.dividedBy(OTHERS)); // another job that takes it over writes meanwhile
        }
        if (!content.equals(folder.text(NAME)))
            throw new InputException(folder + " is being written by another job, " + owner(folder)
                    + ", which was first: wait for it, or use another folder.");
        folder.deleteParts();
        Duration often = dead.dividedBy(WRITES_BEFORE_DEAD);
        return new JobLock(folder, content, often.compareTo(WRITTEN_EVERY) < 0 ? often : WRITTEN_EVERY);
    }

    /** {@return the id of the application, and of the attempt where a cluster manager starts it again} */
    private static String owner(JavaSparkContext context) {
        Option<String> attempt = context.sc().applicationAttemptId();
        return context.sc().applicationId() + (attempt.isDefined() ? "/" + attempt.get() : "");
    }

    /** {@return whether an earlier attempt of this application holds the lock, which has ended then} */
    private static boolean isOfEarlierAttempt(JavaSparkContext context, HadoopFiles folder) {
        String here = owner(context);
        return here.contains("/")
                && owner(folder).startsWith(context.sc().applicationId() + "/")
                && !owner(folder).equals(here);
    }

    private static void pause(Duration time) {
        try {
            Thread.sleep(time);
        } catch (InterruptedException e) {
            throw RunInterruptedException.of("taking over a folder", e);
        }
    }

    private static String owner(HadoopFiles folder) {
        String content = folder.text(NAME);
        if (content == null) return "which has just ended";
        return content.isBlank() ? "which has just begun" : content.split(" ", 2)[0];
    }

    private void write() {
        try {
            String there = folder.text(NAME);
            if (there == null || there.equals(content)) folder.put(NAME, content);
            else lost = true;
        } catch (RuntimeException e) {
            // the job itself reports what it cannot write
        }
    }

    /**
     * Checks that no other job took the folder over, which happens if the driver stood still for a while.
     *
     * @throws InputException if one did
     */
    void requireHeld() {
        String there = folder.text(NAME);
        if (lost || there != null && !there.equals(content))
            throw new InputException(folder + " is being written by another job, " + owner(folder)
                    + ", which took it over while this one stood still: wait for it, and submit this one again.");
    }

    @Override
    public void close() {
        writer.shutdownNow();
        try {
            writer.awaitTermination(WRITTEN_EVERY.toMillis(), TimeUnit.MILLISECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        if (content.equals(folder.text(NAME))) folder.delete(NAME);
    }
}
