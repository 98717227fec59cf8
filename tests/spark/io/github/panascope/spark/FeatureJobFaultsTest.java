package io.github.panascope.spark;

import static io.github.panascope.spark.CollectedFixture.CONTEXT;
import static io.github.panascope.spark.CollectedFixture.UNIT_ROWS;
import static io.github.panascope.spark.CollectedFixture.assertNothingLeft;
import static io.github.panascope.spark.CollectedFixture.assertRefused;
import static io.github.panascope.spark.CollectedFixture.assertThoseOfOneMachine;
import static io.github.panascope.spark.CollectedFixture.collect;
import static io.github.panascope.spark.CollectedFixture.rows;
import static io.github.panascope.spark.CollectedFixture.tokens;
import static io.github.panascope.spark.CollectedFixture.units;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.InputException;
import io.github.panascope.tokens.ChunkingStrategy;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.function.MapFunction;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/** Faults end in the bytes of one machine, or in one sentence after which the job can be submitted again. */
@Tag("spark")
@ExtendWith(Cluster.class)
class FeatureJobFaultsTest {
    @TempDir
    private Path folder;

    @TempDir
    private Path scratch;

    private SparkSession spark;

    @BeforeEach
    void noFaults() {
        FaultyFileSystem.faults(Map.of());
        spark = Cluster.session();
    }

    @AfterEach
    void awaitIdle() throws InterruptedException {
        CollectedFixture.awaitIdle(spark);
    }

    private void assertGoesOn(String place) throws IOException {
        FaultyFileSystem.faults(Map.of());
        collect(spark, place);
        assertThoseOfOneMachine(place, scratch);
        assertNothingLeft(folder);
    }

    @Test
    void aTaskThatFailsTwiceEndsInEqualBytes() throws IOException {
        String place = FaultyFileSystem.uri(folder);
        FaultyFileSystem.faults(Map.of("create", ".*/0+64-.*/\\.sums-.*", "attempts", "2"));
        collect(spark, place);
        assertThoseOfOneMachine(place, scratch);
        assertNothingLeft(folder);
    }

    @Test
    void aTaskThatAlwaysFailsEndsInASentenceAndTheNextJobGoesOn() throws Exception {
        String place = FaultyFileSystem.uri(folder);
        for (String operation : List.of("create", "close", "rename")) {
            FaultyFileSystem.faults(Map.of(operation, ".*/0+64-.*/\\.?sums-.*"));
            assertRefused(() -> collect(spark, place), "faulty:", "sums-", "cannot be written: ");
            awaitIdle();
            assertFalse(Files.exists(folder.resolve("_running")));
            assertFalse(Files.exists(folder.resolve("units/000000000064-000000000096.json")));
            assertEquals(List.of(), CollectedFixture.attempts(folder).get("000000000064-000000000096"));
        }
        assertGoesOn(place);
    }

    @Test
    void aColumnThatFailsTwiceIsReadAgain() {
        List<String> texts = CollectedFixture.documents();
        var failing = spark.createDataset(texts, Encoders.STRING())
                .map(
                        (MapFunction<String, String>) text -> {
                            if (TaskContext.get().attemptNumber() < 2) throw new IllegalStateException("once more");
                            return text;
                        },
                        Encoders.STRING());
        try (TokenRows read = TokenRows.of(
                Documents.of(failing), ModelAndSae.DEMO, ChunkingStrategy.CHARACTER_CHUNKS, CONTEXT, true)) {
            assertEquals(rows(spark).fingerprint(), read.fingerprint());
        }
    }

    @Test
    void aColumnThatRefusesATextDoesSoInASentence() {
        var refusing = spark.createDataset(CollectedFixture.documents(), Encoders.STRING())
                .map(
                        (MapFunction<String, String>) _ -> {
                            throw new InputException("a text cannot be read: it is scrambled.");
                        },
                        Encoders.STRING());
        assertRefused(
                () -> TokenRows.of(
                        Documents.of(refusing), ModelAndSae.DEMO, ChunkingStrategy.CHARACTER_CHUNKS, CONTEXT, true),
                "a text cannot be read: it is scrambled.");
    }

    @Test
    void aFullFolderIsNamedAndTheJobGoesOnWhenSpaceComesBack() throws IOException {
        String place = FaultyFileSystem.uri(folder);
        FaultyFileSystem.faults(Map.of("full", "7000000", "folder", folder.toString()));
        assertRefused(() -> collect(spark, place), place, "cannot be written: No space left on device.");
        int there = units(place).size();
        assertFalse(Files.exists(folder.resolve("_running")));
        assertTrue(there > 0, "the folder should hold some units before it is full");
        FaultyFileSystem.faults(Map.of("full", "0", "folder", folder.toString()));
        assertRefused(() -> collect(spark, place), place + "/_running cannot be written: No space left on device.");
        FaultyFileSystem.faults(Map.of());
        CollectedFeatures rest = collect(spark, place);
        assertTrue(tokens(rest) <= rows(spark).rows() * CONTEXT - (there - 1L) * UNIT_ROWS * CONTEXT);
        assertGoesOn(place);
    }

    /** The driver writes markers while tasks still run: none may appear after the job has ended. */
    @Test
    void aMarkerThatCannotBeWrittenEndsTheJob() throws Exception {
        String place = FaultyFileSystem.uri(folder);
        for (String operation : List.of("create", "close")) {
            FaultyFileSystem.faults(Map.of(operation, ".*/units/\\.0+32-.*"));
            assertRefused(() -> collect(spark, place), "000000000032-000000000064.json cannot be written");
            FaultyFileSystem.faults(Map.of());
            int there = units(place).size();
            Thread.sleep(2_000);
            assertEquals(there, units(place).size());
        }
        assertGoesOn(place);
    }

    @Test
    void aPlanThatCannotBeWrittenIsRefusedBeforeAnyUnit() throws IOException {
        String place = FaultyFileSystem.uri(folder);
        FaultyFileSystem.faults(Map.of("rename", ".*/job.json"));
        assertRefused(() -> collect(spark, place), place + "/job.json cannot be written: it cannot be renamed");
        assertFalse(Files.exists(folder.resolve("units")));
        FaultyFileSystem.faults(Map.of("create", ".*/_running"));
        assertRefused(() -> collect(spark, place), place + "/_running cannot be written: the server does not answer.");
        assertGoesOn(place);
    }

    @Test
    void twoJobsOnOneFolderAreOneTooMany() throws Exception {
        String place = folder.toString();
        CompletableFuture<CollectedFeatures> first = new CompletableFuture<>();
        AtomicLong done = new AtomicLong();
        Thread.ofPlatform().start(() -> {
            try {
                first.complete(
                        CollectedFixture.job().progress(done::set).collect(rows(spark), "a few documents", place));
            } catch (Throwable e) {
                first.completeExceptionally(e);
            }
        });
        while (!Files.exists(folder.resolve("_running")) && !first.isDone()) Thread.sleep(5);
        assertRefused(
                () -> collect(spark, place),
                "is being written by another job, " + spark.sparkContext().applicationId(),
                "wait for it, or use another folder.");
        assertTrue(done.get() < rows(spark).rows());
        await(first);
        assertEquals(0, tokens(collect(spark, place)));
        assertGoesOn(place);
    }

    private static void await(CompletableFuture<?> job) throws Exception {
        try {
            job.get();
        } catch (ExecutionException e) {
            throw e.getCause() instanceof Exception cause ? cause : e;
        }
    }

    @Test
    void theLockOfAKilledJobIsTakenOver() throws Exception {
        String place = folder.toString();
        Files.writeString(folder.resolve("_running"), "app-1 killed\n");
        Files.writeString(folder.resolve("._running.part"), "");
        assertRefused(() -> collect(spark, place), "another job, app-1", "submit this one again in ");
        spark.sparkContext().conf().set("spark.panascope.lock.timeout", "1s");
        try {
            Thread.sleep(1_100);
            assertGoesOn(place);
        } finally {
            spark.sparkContext().conf().remove("spark.panascope.lock.timeout");
        }
    }

    @Test
    void aJobWhoseFolderWasTakenOverEnds() throws Exception {
        spark.sparkContext().conf().set("spark.panascope.lock.timeout", "1s");
        try {
            String place = folder.toString();
            assertRefused(
                    () -> CollectedFixture.job()
                            .progress(_ -> {
                                try {
                                    Files.writeString(folder.resolve("_running"), "app-2 awake\n");
                                    Thread.sleep(600);
                                } catch (IOException | InterruptedException e) {
                                    throw new IllegalStateException(e);
                                }
                            })
                            .collect(rows(spark), "a few documents", place),
                    "is being written by another job, app-2, which took it over");
            assertEquals("app-2 awake\n", Files.readString(folder.resolve("_running")));
        } finally {
            spark.sparkContext().conf().remove("spark.panascope.lock.timeout");
        }
    }
}
