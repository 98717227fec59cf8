package io.github.panascope.tokens;

import io.github.panascope.InputException;
import io.github.panascope.tokens.ChatMessage.Role;
import java.time.LocalDate;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * The form in which a model was trained to read a conversation. A tokenizer has it as a program in Jinja's language,
 * which is not run: the forms of Gemma, Llama 2 and 3, Mistral, Qwen and others with ChatML, and of DeepSeek-R1 are
 * known by the pieces of text in these programs. Conversations are texts without tools and images.
 *
 * <pre>{@code
 * ChatTemplate template = ChatTemplate.of(model.tokenizer());
 * String text = template.render(List.of(ChatMessage.user("Where is the Eiffel Tower?")), true);
 * int[] ids = model.tokenizer().encode(text); // the text has the bos token already
 * }</pre>
 */
public final class ChatTemplate {
    /** The known forms, in the order in which they are looked for. */
    private enum Form {
        /** Instructions are part of the first question. */
        GEMMA3("'<start_of_turn>'+role+'\\n'", "first_user_prefix=messages[0]['content']+'\\n\\n'"),
        /** There are no instructions. */
        GEMMA("'<start_of_turn>'+role+'\\n'+message['content']|trim+'<end_of_turn>\\n'"),
        LLAMA2("'<<SYS>>\\n'+system_message+'\\n<</SYS>>\\n\\n'", "bos_token+'[INST] '+content.strip()+' [/INST]'"),
        /** There always are instructions, which begin with two dates. */
        LLAMA31("<|start_header_id|>", "'Cutting Knowledge Date: December 2023\\n'", "message['content']|trim"),
        LLAMA3("'<|start_header_id|>'+message['role']+'<|end_header_id|>\\n\\n'+message['content']|trim+'<|eot_id|>'"),
        /** Instructions are part of the last question; version 0.3. */
        MISTRAL3("'[INST] '+message['content']+'[/INST]'", "' '+message['content']|trim+eos_token"),
        /** Instructions are part of the first question; versions 0.1 and 0.2 since September 2024. */
        MISTRAL2("' [INST] '+message['content']+' [/INST]'", "' '+message['content']+eos_token"),
        MISTRAL_SPACE("'[INST] '+message['content']+' [/INST]'", "{{message['content']+eos_token+' '}}"),
        MISTRAL("'[INST] '+message['content']+' [/INST]'", "{{message['content']+eos_token}}"),
        /** What the model thought is left out of its earlier messages. */
        QWEN3("<|im_start|>", "'\\n<think>\\n'+reasoning_content.strip('\\n')+'\\n</think>\\n\\n'"),
        CHATML(
                "'<|im_start|>'+message['role']+'\\n'+message['content']+'<|im_end|>'+'\\n'",
                "{{'<|im_start|>assistant\\n'}}"),
        DEEPSEEK("'<｜User｜>'+message['content']", "'<｜Assistant｜>'+content+'<｜end▁of▁sentence｜>'");

        private final List<String> pieces;

        Form(String... pieces) {
            this.pieces = List.of(pieces);
        }
    }

    private static final Pattern TAG = Pattern.compile("\\{([{%])[-+]?(.*?)[-+]?[}%]\\}", Pattern.DOTALL);
    /** What a backslash is followed by in strings, and what it then stands for. */
    private static final Pattern ESCAPE = Pattern.compile("\\\\(.?)", Pattern.DOTALL);

    private static final Pattern DATE = Pattern.compile("date_string='([^']+)'");

    /** What ends the thoughts of a model, before its answer. */
    private static final String THOUGHT = "</think>";
    /** What begins the instructions in ChatML. */
    private static final String SYSTEM = "<|im_start|>system\n";
    /** What begins the next message in ChatML. */
    private static final String PROMPT = "{{'<|im_start|>assistant\\n'}}";
    /** What begins the next message of Qwen 3, in those models that always think. */
    private static final String THINKING = "{{'<|im_start|>assistant\\n<think>\\n'}}";

    private final Form form;
    private final String program;
    private final String bos;
    private final String eos;

    private ChatTemplate(Form form, String program, String bos, String eos) {
        this.form = form;
        this.program = program;
        this.bos = bos;
        this.eos = eos;
    }

    /**
     * Returns the form of a tokenizer's conversations.
     *
     * @param tokenizer the tokenizer
     * @return the form
     * @throws InputException if the tokenizer names none, or one that is not known
     */
    public static ChatTemplate of(Tokenizer tokenizer) {
        String jinja = tokenizer
                .chatTemplate()
                .orElseThrow(() -> new InputException("The tokenizer has no chat_template in its tokenizer_config.json:"
                        + " it belongs to a model that was not trained for conversations."));
        return of(jinja, tokenizer.token(tokenizer.bos()), tokenizer.token(tokenizer.eos()));
    }

    /**
     * Returns the form that a program in Jinja's language writes.
     *
     * @param jinja the program
     * @param bos   the token that begins texts
     * @param eos   the token that ends texts
     * @return the form
     * @throws InputException if it is not known
     */
    static ChatTemplate of(String jinja, String bos, String eos) {
        String program = normalized(jinja);
        for (Form form : Form.values()) {
            boolean other = switch (form) {
                case CHATML -> // some programs add tokens that begin and end the text, or texts outside of tags
                    program.contains("os_token")
                            || TAG.matcher(jinja).replaceAll("").contains("<|im_start|>");
                case QWEN3 -> !program.contains(PROMPT) && !program.contains(THINKING);
                default -> false;
            };
            if (other || !form.pieces.stream().allMatch(program::contains)) continue;
            if (form == Form.CHATML) defaultSystem(program);
            return new ChatTemplate(form, program, bos, eos);
        }
        throw unknown(jinja);
    }

    private static InputException unknown(String jinja) {
        String line = jinja.strip().lines().findFirst().orElse("");
        return new InputException("The chat_template '" + line.substring(0, Math.min(60, line.length()))
                + "...' is not one of Gemma, Llama 2 and 3, Mistral, ChatML, Qwen or DeepSeek-R1, the forms of"
                + " conversations that are known; write the text of the conversation yourself.");
    }

    /** Writes the tags of a program in one way: without spaces outside of strings, and with one kind of quotes. */
    private static String normalized(String jinja) {
        StringBuilder result = new StringBuilder();
        Matcher tags = TAG.matcher(jinja);
        while (tags.find()) {
            boolean output = tags.group(1).equals("{");
            result.append(output ? "{{" : "{%");
            char quote = 0;
            boolean escaped = false;
            String code = tags.group(2)
                    .replace("message.role", "message['role']")
                    .replace("message.content", "message['content']");
            for (char c : code.toCharArray()) {
                if (quote == 0 && Character.isWhitespace(c)) continue;
                if (quote == 0 && (c == '\'' || c == '"')) quote = c;
                else if (c == quote && !escaped) quote = 0;
                else {
                    if (c == '\'' && !escaped) result.append('\\');
                    result.append(c == '\n' ? "\\n" : String.valueOf(c));
                    escaped = quote != 0 && c == '\\' && !escaped;
                    continue;
                }
                result.append('\'');
            }
            result.append(output ? "}}" : "%}");
        }
        return result.toString();
    }

    /**
     * Returns the instructions of a program for conversations without any; null if it has none.
     *
     * @throws InputException if they are not written as one string
     */
    private static @Nullable String defaultSystem(String program) {
        String found = null;
        String begin = SYSTEM.replace("\n", "\\n");
        for (int at = program.indexOf(begin); at >= 0; at = program.indexOf(begin, at + 1)) {
            int from = at + begin.length();
            if (program.startsWith("'", from)) continue; // an expression follows
            int to = program.indexOf("<|im_end|>", from);
            String text = to < 0 ? "'" : program.substring(from, to);
            if (program.charAt(at - 1) != '\''
                    || ESCAPE.matcher(text).replaceAll("").contains("'"))
                throw new InputException("The chat_template has instructions after '" + begin
                        + "' that are not one string up to '<|im_end|>': write the text of the conversation yourself.");
            if (found == null) found = unescaped(text);
        }
        return found;
    }

    /** Returns what a string of Jinja stands for. */
    private static String unescaped(String text) {
        return ESCAPE.matcher(text)
                .replaceAll(escape -> Matcher.quoteReplacement(
                        switch (escape.group(1)) {
                            case "n" -> "\n";
                            case "\\", "'", "\"" -> escape.group(1);
                            default ->
                                throw new InputException("The chat_template's instructions have '" + escape.group()
                                        + "', which is not supported: write the text of the conversation yourself.");
                        }));
    }

    /** Returns a text without the white space around it, of which Python has other characters than Java. */
    private static String trimmed(String text) {
        int from = 0;
        int to = text.length();
        while (from < to && isSpace(text.charAt(from))) from++;
        while (to > from && isSpace(text.charAt(to - 1))) to--;
        return text.substring(from, to);
    }

    private static boolean isSpace(char c) {
        return CharacterClasses.isSpace(c) || c >= 0x1c && c <= 0x1f;
    }

    /**
     * Writes a conversation as one text, as Transformers's {@code apply_chat_template} does. The text has the bos token
     * where the form has one; it is converted by {@link Tokenizer#encode}.
     *
     * @param messages            the messages, the first of which may be instructions
     * @param addGenerationPrompt true to end with the beginning of the model's next message
     * @return the text
     * @throws InputException if the form does not allow these messages
     */
    public String render(List<ChatMessage> messages, boolean addGenerationPrompt) {
        if (messages.isEmpty()) throw new InputException("A conversation needs at least one message.");
        String system =
                messages.getFirst().role() == Role.SYSTEM ? messages.getFirst().content() : null;
        List<ChatMessage> rest = new ArrayList<>(system == null ? messages : messages.subList(1, messages.size()));
        if (rest.stream().anyMatch(each -> each.role() == Role.SYSTEM))
            throw new InputException("Only the first message of a conversation can be that of the system.");
        if (alternates()) requireAlternating(rest);
        return switch (form) {
            case GEMMA3 -> gemma(system == null ? "" : system + "\n\n", rest, addGenerationPrompt);
            case GEMMA -> {
                if (system != null) throw new InputException("Gemma's form of a conversation has no system message.");
                yield gemma("", rest, addGenerationPrompt);
            }
            case LLAMA2 -> llama2(system, rest);
            case LLAMA31 -> llama3(dates() + (system == null ? "" : trimmed(system)), rest, addGenerationPrompt);
            case LLAMA3 -> llama3(system == null ? null : trimmed(system), rest, addGenerationPrompt);
            case MISTRAL, MISTRAL_SPACE, MISTRAL2, MISTRAL3 -> mistral(system, rest);
            case QWEN3 ->
                chatMl(system, withoutThoughts(rest), addGenerationPrompt)
                        + (addGenerationPrompt && program.contains(THINKING) ? "<think>\n" : "");
            case CHATML -> chatMl(system == null ? defaultSystem(program) : system, rest, addGenerationPrompt);
            case DEEPSEEK -> deepSeek(system, rest, addGenerationPrompt);
        };
    }

    private boolean alternates() {
        return switch (form) {
            case GEMMA, GEMMA3, LLAMA2, MISTRAL, MISTRAL_SPACE, MISTRAL2, MISTRAL3 -> true;
            default -> false;
        };
    }

    private static void requireAlternating(List<ChatMessage> messages) {
        for (int i = 0; i < messages.size(); i++)
            if ((messages.get(i).role() == Role.USER) != (i % 2 == 0))
                throw new InputException("Messages of this model's conversations alternate, beginning with the user,"
                        + " and message " + (i + 1) + " is of the "
                        + messages.get(i).role().name().toLowerCase(Locale.ROOT) + ".");
    }

    // ---------------------------------------------------------------------------------------------------- the forms

    private String gemma(String prefix, List<ChatMessage> messages, boolean addGenerationPrompt) {
        StringBuilder text = new StringBuilder(bos);
        String instructions = prefix;
        for (ChatMessage message : messages) {
            text.append("<start_of_turn>")
                    .append(message.role() == Role.USER ? "user" : "model")
                    .append('\n')
                    .append(instructions)
                    .append(trimmed(message.content()))
                    .append("<end_of_turn>\n");
            instructions = "";
        }
        return text.append(addGenerationPrompt ? "<start_of_turn>model\n" : "").toString();
    }

    private String llama2(String system, List<ChatMessage> messages) {
        StringBuilder text = new StringBuilder();
        String instructions = system == null ? "" : "<<SYS>>\n" + system + "\n<</SYS>>\n\n";
        for (ChatMessage message : messages) {
            String content = trimmed(instructions + message.content());
            instructions = "";
            text.append(
                    message.role() == Role.USER ? bos + "[INST] " + content + " [/INST]" : " " + content + " " + eos);
        }
        return text.toString();
    }

    private String llama3(String system, List<ChatMessage> messages, boolean addGenerationPrompt) {
        StringBuilder text = new StringBuilder(bos);
        if (system != null) text.append(header("system")).append(system).append("<|eot_id|>");
        for (ChatMessage message : messages)
            text.append(header(role(message)))
                    .append(trimmed(message.content()))
                    .append("<|eot_id|>");
        return text.append(addGenerationPrompt ? header("assistant") : "").toString();
    }

    private static String header(String role) {
        return "<|start_header_id|>" + role + "<|end_header_id|>\n\n";
    }

    /** Returns the dates with which the instructions begin: today's, if the program asks for that. */
    private String dates() {
        Matcher written = DATE.matcher(program);
        String today = program.contains("strftime_now") || !written.find()
                ? LocalDate.now().format(DateTimeFormatter.ofPattern("dd MMM yyyy", Locale.ENGLISH))
                : written.group(1);
        return "Cutting Knowledge Date: December 2023\nToday Date: " + today + "\n\n";
    }

    private String mistral(String system, List<ChatMessage> messages) {
        if (system != null && (form == Form.MISTRAL || form == Form.MISTRAL_SPACE))
            throw new InputException("This Mistral's form of a conversation has no system message.");
        boolean newest = form == Form.MISTRAL3;
        String begin = form == Form.MISTRAL2 ? " [INST] " : "[INST] ";
        String end = newest ? "[/INST]" : " [/INST]";
        StringBuilder text = new StringBuilder(bos);
        for (int i = 0; i < messages.size(); i++) {
            String content = messages.get(i).content();
            boolean instructed = system != null && i == (newest ? messages.size() - 1 : 0);
            if (messages.get(i).role() == Role.USER)
                text.append(begin)
                        .append(instructed ? system + "\n\n" : "")
                        .append(content)
                        .append(end);
            else if (newest) text.append(' ').append(trimmed(content)).append(eos);
            else if (form == Form.MISTRAL2) text.append(' ').append(content).append(eos);
            else text.append(content).append(eos).append(form == Form.MISTRAL_SPACE ? " " : "");
        }
        return text.toString();
    }

    private static String chatMl(String system, List<ChatMessage> messages, boolean addGenerationPrompt) {
        StringBuilder text = new StringBuilder();
        if (system != null) text.append(SYSTEM).append(system).append("<|im_end|>\n");
        for (ChatMessage message : messages)
            text.append("<|im_start|>")
                    .append(role(message))
                    .append('\n')
                    .append(message.content())
                    .append("<|im_end|>\n");
        return text.append(addGenerationPrompt ? "<|im_start|>assistant\n" : "").toString();
    }

    /** Leaves out what Qwen 3 thought before the last question, and gives its last message thoughts, perhaps none. */
    private static List<ChatMessage> withoutThoughts(List<ChatMessage> messages) {
        int question = messages.size() - 1;
        while (question >= 0 && !isQuestion(messages.get(question))) question--;
        if (question < 0) question = messages.size() - 1;
        List<ChatMessage> result = new ArrayList<>();
        for (int i = 0; i < messages.size(); i++) {
            ChatMessage message = messages.get(i);
            if (message.role() == Role.ASSISTANT) {
                String content = message.content();
                int end = content.indexOf(THOUGHT);
                String said = end < 0
                        ? content
                        : newlines(content.substring(content.lastIndexOf(THOUGHT) + THOUGHT.length()), false);
                String before = end < 0 ? "" : content.substring(0, end);
                int begin = before.lastIndexOf("<think>");
                String thought = newlines(begin < 0 ? before : before.substring(begin + "<think>".length()), true);
                if (i > question && (i == messages.size() - 1 || !thought.isEmpty()))
                    said = "<think>\n" + thought + "\n</think>\n\n" + newlines(said, false);
                message = ChatMessage.assistant(said);
            }
            result.add(message);
        }
        return result;
    }

    /** Returns whether a message is the user's own, and not the result of a tool. */
    private static boolean isQuestion(ChatMessage message) {
        String content = message.content();
        return message.role() == Role.USER
                && !(content.startsWith("<tool_response>") && content.endsWith("</tool_response>"));
    }

    /** Takes newlines off the beginning of a text, and off its end. */
    private static String newlines(String text, boolean ofEndToo) {
        String begun = text.replaceFirst("^\n+", "");
        return ofEndToo ? begun.replaceFirst("\n+$", "") : begun;
    }

    private String deepSeek(String system, List<ChatMessage> messages, boolean addGenerationPrompt) {
        StringBuilder text = new StringBuilder(bos).append(system == null ? "" : system);
        for (ChatMessage message : messages) {
            String content = message.content();
            if (message.role() == Role.USER) text.append("<｜User｜>").append(content);
            else
                text.append("<｜Assistant｜>")
                        .append(
                                content.contains(THOUGHT)
                                        ? content.substring(content.lastIndexOf(THOUGHT) + THOUGHT.length())
                                        : content)
                        .append("<｜end▁of▁sentence｜>");
        }
        if (!addGenerationPrompt) return text.toString();
        return text.append("<｜Assistant｜>")
                .append(program.contains("'<｜Assistant｜><think>\\n'") ? "<think>\n" : "")
                .toString();
    }

    private static String role(ChatMessage message) {
        return message.role().name().toLowerCase(Locale.ROOT);
    }

    /** {@return the name of the form} */
    @Override
    public String toString() {
        return "ChatTemplate(" + form + ")";
    }
}
