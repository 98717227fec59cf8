package io.github.panascope.lens;

import io.github.panascope.internal.PythonText;
import io.github.panascope.tokens.ChatMessage;
import io.github.panascope.tokens.ChatTemplate;
import io.github.panascope.tokens.Tokenizer;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * TransformerLens's {@code test_prompt}: how a model continues a prompt, and where the expected answer ranks.
 *
 * @param promptTokens the text of each token of the prompt, with the bos token before it if
 *     {@link HookedTransformer#prependsBos}
 * @param answerTokens the text of each token of each answer
 * @param positions    for one answer, one entry for each of its tokens, each predicted with the answer's earlier tokens
 *     given; for several answers, one entry that compares their first tokens
 */
public record TestPrompt(List<String> promptTokens, List<List<String>> answerTokens, List<Position> positions) {
    /**
     * A candidate for the next token.
     *
     * @param token the text of the token; empty for an id that the tokenizer does not have
     * @param rank  the rank by descending probability, from 0
     * @param logit the logit
     * @param prob  the probability, from 0 to 1
     */
    public record Candidate(String token, int rank, double logit, double prob) {}

    /**
     * The prediction at one position.
     *
     * @param answers the expected token of each answer
     * @param top     the most probable tokens, in descending order
     */
    public record Position(List<Candidate> answers, List<Candidate> top) {}

    /**
     * Runs the prompt with its answers. An answer gets a space before it unless it begins with one.
     *
     * @param model   the model
     * @param prompt  the prompt, without the bos token
     * @param answers the expected answers, at least one
     * @param hooks   called during the run
     * @param topK    how many of the most probable tokens to keep
     * @return the result
     * @throws IllegalArgumentException if there is no answer, or if prompt and answer are longer than n_ctx
     */
    public static TestPrompt run(HookedTransformer model, String prompt, List<String> answers, Hooks hooks, int topK) {
        return run(
                model,
                model.encode(prompt),
                answers.stream()
                        .map(answer -> answer.startsWith(" ") ? answer : " " + answer)
                        .toList(),
                hooks,
                topK);
    }

    /**
     * Runs a conversation in the form that the model was trained for, with answers as the beginning of its next
     * message. No space is put before an answer.
     *
     * @param model    the model
     * @param messages the messages, the first of which may be instructions
     * @param answers  the expected answers, at least one
     * @param hooks    called during the run
     * @param topK     how many of the most probable tokens to keep
     * @return the result
     * @throws IllegalArgumentException if there is no answer, or if conversation and answer are longer than n_ctx
     * @throws io.github.panascope.InputException if the model was not trained for such a conversation
     */
    public static TestPrompt ofChat(
            HookedTransformer model, List<ChatMessage> messages, List<String> answers, Hooks hooks, int topK) {
        String prompt = ChatTemplate.of(model.tokenizer()).render(messages, true);
        return run(model, model.tokenizer().encode(prompt), answers, hooks, topK);
    }

    private static TestPrompt run(
            HookedTransformer model, int[] promptIds, List<String> answers, Hooks hooks, int topK) {
        Tokenizer tokenizer = model.tokenizer();
        if (answers.isEmpty()) throw new IllegalArgumentException("test_prompt needs an answer");
        if (promptIds.length == 0) throw new IllegalArgumentException("test_prompt needs a prompt of a token or more");
        List<int[]> answerIds = answers.stream().map(tokenizer::encode).toList();
        for (int i = 0; i < answers.size(); i++) {
            if (answerIds.get(i).length == 0)
                throw new IllegalArgumentException("the answer '" + answers.get(i) + "' has no token");
        }
        boolean several = answers.size() > 1;
        int answerLength = several ? 1 : answerIds.get(0).length;
        int length = promptIds.length + answerLength;
        if (length > model.config().nCtx()) {
            throw new IllegalArgumentException(
                    "prompt and answer are " + length + " tokens long, more than the model's n_ctx of "
                            + model.config().nCtx());
        }
        long[] ids = answerIds.stream()
                .flatMapToInt(
                        answer -> IntStream.concat(Arrays.stream(promptIds), Arrays.stream(answer, 0, answerLength)))
                .asLongStream()
                .toArray();
        List<Position> positions = new ArrayList<>();
        try (var _ = TensorScope.open()) {
            Tensor logits = model.forward(Tensor.of(ids, Shape.of(answers.size(), length)))
                    .hooks(hooks)
                    .logits(promptIds.length - 1, length - 1);
            int vocabulary = (int) logits.size(-1);
            int width = answers.size() * vocabulary;
            Tensor byStep = logits.transpose(0, 1).to(DType.FLOAT32); // [step, answer, d_vocab]
            float[] both = Tensor.stack(0, byStep, byStep.softmax(-1))
                    .toFloats(); // read together, because each transfer waits for the device
            for (int i = 0; i < answerLength; i++) {
                int step = i;
                int probsOfStep = (answerLength + step) * width;
                List<Integer> targets =
                        answerIds.stream().map(answer -> answer[step]).toList();
                positions.add(position(
                        Arrays.copyOfRange(both, step * width, (step + 1) * width),
                        Arrays.copyOfRange(both, probsOfStep, probsOfStep + width),
                        vocabulary,
                        targets,
                        tokenizer,
                        topK));
            }
        }
        return new TestPrompt(
                tokenizer.tokens(promptIds),
                answerIds.stream().map(tokenizer::tokens).toList(),
                List.copyOf(positions));
    }

    /**
     * Runs the prompt with one answer, without hooks other than the model's own, and keeps the 10 most probable tokens
     * at each position. The answer gets a space before it unless it begins with one.
     *
     * @param model  the model
     * @param prompt the prompt, without the bos token
     * @param answer the expected answer
     * @return the result
     * @throws IllegalArgumentException if prompt and answer are longer than n_ctx
     */
    public static TestPrompt run(HookedTransformer model, String prompt, String answer) {
        return run(model, prompt, List.of(answer), Hooks.NONE, 10);
    }

    /**
     * Builds the prediction at one position. Logits and probabilities are [answer, d_vocab]: each answer is looked up
     * in its own row, the most probable tokens in the first row.
     */
    private static Position position(
            float[] values, float[] probs, int vocabulary, List<Integer> targets, Tokenizer tokenizer, int topK) {
        List<Candidate> answers = new ArrayList<>();
        for (int row = 0; row < targets.size(); row++) {
            int at = row * vocabulary;
            int token = targets.get(row);
            answers.add(new Candidate(
                    tokenizer.decode(token),
                    rank(probs, at, vocabulary, token),
                    values[at + token],
                    probs[at + token]));
        }
        long[] order = new long[vocabulary];
        // Non-negative floats are ordered like their bits, so this sorts by descending probability, then by token id.
        for (int id = 0; id < vocabulary; id++)
            order[id] = (Integer.MAX_VALUE - (long) Float.floatToIntBits(probs[id])) << 32 | id;
        Arrays.sort(order);
        List<Candidate> top = new ArrayList<>();
        for (int i = 0; i < Math.min(topK, vocabulary); i++) {
            int id = (int) order[i];
            // A model may have more logits than its tokenizer has tokens; the ids beyond have no text.
            String text = id < tokenizer.size() ? tokenizer.decode(id) : "";
            top.add(new Candidate(text, i, values[id], probs[id]));
        }
        return new Position(List.copyOf(answers), List.copyOf(top));
    }

    private static int rank(float[] probs, int from, int count, int token) {
        int rank = 0;
        float own = probs[from + token];
        for (int i = 0; i < count; i++) if (probs[from + i] > own || probs[from + i] == own && i < token) rank++;
        return rank;
    }

    /** {@return the text that TransformerLens prints, with a line feed after each line} */
    public String format() {
        boolean several = answerTokens.size() > 1;
        StringBuilder out = new StringBuilder();
        out.append("Tokenized prompt: ").append(PythonText.repr(promptTokens)).append('\n');
        if (several)
            out.append("Tokenized answers: ")
                    .append(answerTokens.stream().map(PythonText::repr).collect(Collectors.joining(", ", "[", "]")))
                    .append('\n');
        else
            out.append("Tokenized answer: ")
                    .append(PythonText.repr(answerTokens.get(0)))
                    .append('\n');
        for (Position position : positions) {
            out.append("Performance on answer token").append(several ? "s" : "").append(":\n");
            for (Candidate answer : position.answers) {
                out.append("Rank: ")
                        .append(PythonText.left(Integer.toString(answer.rank), 8))
                        .append(numbers(answer));
            }
            for (Candidate candidate : position.top)
                out.append("Top ").append(candidate.rank).append("th token.").append(numbers(candidate));
        }
        String ranks = positions.stream()
                .map(position -> position.answers.stream()
                        .map(answer -> "(" + PythonText.repr(answer.token) + ", " + answer.rank + ")")
                        .collect(Collectors.joining(", ", several ? "[" : "", several ? "]" : "")))
                .collect(Collectors.joining(", ", "[", "]"));
        return out.append("Ranks of the answer tokens: ")
                .append(ranks)
                .append('\n')
                .toString();
    }

    /** {@return what {@link #format} returns} */
    @Override
    public String toString() {
        return format();
    }

    private static String numbers(Candidate candidate) {
        return " Logit: " + PythonText.right(PythonText.fixed(candidate.logit, 2), 5) + " Prob: "
                + PythonText.right(PythonText.percent(candidate.prob, 2), 6) + " Token: |" + candidate.token + "|\n";
    }
}
