package io.github.panascope.spark;

import io.github.panascope.InputException;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;
import org.jspecify.annotations.Nullable;

/** Features of a corpus that a {@link FeatureJob} collected into a folder. */
public final class CollectedFeatures {
    private final JavaSparkContext spark;
    private final ModelAndSae names;
    private final String text;
    private final HadoopFiles files;
    private final JobPlan plan;
    private final List<UnitFiles> units;
    private final int context;
    private final int @Nullable [] chosen;
    private final boolean chosenOnly;
    private final Map<String, Share> shares;

    /**
     * What an executor did in the job.
     *
     * @param tokens  the number of tokens
     * @param seconds the time of its tasks together
     */
    public record Share(long tokens, double seconds) implements Serializable {
        Share plus(Share other) {
            return new Share(tokens + other.tokens, seconds + other.seconds);
        }
    }

    CollectedFeatures(
            JavaSparkContext spark,
            ModelAndSae names,
            String text,
            HadoopFiles files,
            JobPlan plan,
            List<UnitFiles> units,
            int context,
            int @Nullable [] chosen,
            boolean chosenOnly,
            Map<String, Share> shares) {
        this.spark = spark;
        this.names = names;
        this.text = text;
        this.files = files;
        this.plan = plan;
        this.units = units;
        this.context = context;
        this.chosen = chosen;
        this.chosenOnly = chosenOnly;
        this.shares = shares;
    }

    /**
     * Opens a folder into which a {@link FeatureJob} collected all rows, for dashboards. The corpus is not needed.
     *
     * @param spark  the session
     * @param names  the model and the SAE that the features are of
     * @param folder the URI of the folder
     * @return the features
     * @throws InputException if the folder holds no features or features of another SAE, lacks rows, or is damaged
     */
    public static CollectedFeatures open(SparkSession spark, ModelAndSae names, String folder) {
        HadoopFiles files = HadoopFiles.at(folder);
        JobPlan plan = JobPlan.read(files);
        if (plan == null) throw new InputException(files + " holds no features: collect some first.");
        Map<String, String> identity = plan.identity();
        if (!names.saeName().equals(identity.get("sae")))
            throw new InputException(
                    files + " holds features of the SAE " + identity.get("sae") + ", not of " + names.saeName() + ".");
        HadoopFiles units = files.within(FeatureJob.UNITS);
        List<UnitFiles> found = new ArrayList<>();
        for (Unit unit : plan.units()) {
            UnitFiles there = UnitFiles.read(units, unit);
            if (there == null || !there.isThere(units))
                throw new InputException(files + " lacks rows " + unit.first() + " to " + (unit.end() - 1)
                        + ": submit the job that collects them again.");
            found.add(there);
        }
        boolean chosenOnly = identity.containsKey("features");
        String chosen = identity.get(chosenOnly ? "features" : "neurons");
        return new CollectedFeatures(
                JavaSparkContext.fromSparkContext(spark.sparkContext()),
                names,
                identity.get("text"),
                files,
                plan,
                List.copyOf(found),
                Integer.parseInt(identity.get("context")),
                chosen == null
                        ? null
                        : Arrays.stream(chosen.split(","))
                                .mapToInt(Integer::parseInt)
                                .toArray(),
                chosenOnly,
                Map.of());
    }

    /** {@return the URI of the folder} */
    public String folder() {
        return files.toString();
    }

    /** {@return the number of rows} */
    public long rows() {
        return plan.rows();
    }

    /** {@return the number of tokens in a row} */
    public int context() {
        return context;
    }

    /** {@return the description of the text} */
    public String text() {
        return text;
    }

    /** {@return what each executor did in the job, by its id and host; empty if no row was missing} */
    public Map<String, Share> shares() {
        return shares;
    }

    /** {@return the features of which dashboards can be made, ascending} */
    public int[] features() {
        return chosen != null
                ? chosen.clone()
                : IntStream.range(0, Executor.onDriver(names).shown().config().dSae())
                        .toArray();
    }

    JavaSparkContext spark() {
        return spark;
    }

    ModelAndSae names() {
        return names;
    }

    HadoopFiles files() {
        return files;
    }

    List<UnitFiles> units() {
        return units;
    }

    boolean chosenOnly() {
        return chosenOnly;
    }
}
