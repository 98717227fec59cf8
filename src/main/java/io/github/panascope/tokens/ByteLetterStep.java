package io.github.panascope.tokens;

/** Writes the bytes of a text as the letters of byte-level vocabularies. */
final class ByteLetterStep implements PreTokenizer {
    static final ByteLetterStep INSTANCE = new ByteLetterStep();

    private ByteLetterStep() {}

    @Override
    public void split(AlignedText text, int from, int to, Pieces pieces) {
        AlignedText part = text.slice(from, to);
        AlignedText.Builder made = new AlignedText.Builder(part);
        byte[] bytes = new byte[4];
        char[] letters = new char[4];
        for (int at = 0, codePoint; at < part.length; at += Character.charCount(codePoint)) {
            codePoint = part.codePoint(at, part.length);
            int count = ByteLetters.writeUtf8(codePoint, bytes, 0);
            for (int i = 0; i < count; i++) letters[i] = ByteLetters.letter(bytes[i]);
            made.add(new String(letters, 0, count), at);
        }
        AlignedText written = made.build();
        pieces.accept(written, 0, written.length);
    }
}
