"""AD201 has one thing to tell apart: past tense from all that looks like it."""

import pytest

from avtool.narrate.rules.script import prose, sentences
from avtool.narrate.rules.tense import find_past
from avtool.narrate.rules.verbs import base_form, third_person

PRESENT = """
SOMEONE seated at a table.
A man dressed in black.
Now dressed in a suit, Tom waits.
Left alone, she sighs.
He's gone.
He's left the room.
They've gone.
She has changed.
There's a crashed car.
Someone, his eyes closed, breathes.
Her head bowed, she prays.
His jaw set, he walks on.
Eyes fixed on the road, she drives.
The bed made, she leaves.
They set the table.
They put on their coats and shut the door.
Tom and Ann hit the wall.
The kids spread out.
They read.
A sign: The shop closed in 1938.
A caption reads, "He died in 1938."
He mouths: I loved you.
The man who shot her runs.
The ring he gave her falls.
She finds the note he left.
She stands where he stood.
Tom does as he did before.
It looks as if he had slept.
More people than she thought.
What was once a house is rubble.
If only he were here.
A note left on the table.
A gun held to his head.
A boy lost in the woods stares at the house he saw.
A saw blade spins.
A red rose lies on the bed.
A felt hat on a peg.
Broken glass on the floor.
The wounded soldier limps on.
Soldiers wounded in battle lie in rows.
Two men, armed with rifles, guard a gate.
A woman known as Big Ann.
A ship named Rachel sails.
A door marked Private opens.
A man handed a note reads it.
A man led down the stairs by guards.
The crowd gathered the night before is gone.
Ann, followed by Tom, goes in.
Her hair cut short, Ann looks younger.
Ann's hair is cut short.
He wakes up tied to a chair.
Two scouts carrying cookies walk up.
Guards let Tom cut the rope.
The painted door of a boarded-up shop.
A pair of jeans spread on the bed.
Joyful, they dance.
The family seated at the table.
That car is wrecked.
"""

PAST = """
He walked to the door.
Tom opened the door.
She was tired.
The two men fought the guard.
Ann took his hand.
They went upstairs.
He put the cup down.
Tom set the cup on the table.
The car hit a tree.
The old man nodded.
The woman in the coat was alone.
Suddenly he ran.
A bell rang.
As he walked in, she smiled.
There were two dogs.
It had stopped.
The children laughed.
The dogs chased a cat.
The doctor gave him a pill.
She didn't move.
He slowly got up.
And then he fell.
He saw her.
Tom and Ann danced.
The soldiers marched past.
Inside, she found a letter.
Ann grabbed him.
Emily opened the window.
The family went home.
"He's late." She looked at the clock.
"""


def found(text: str) -> bool:
    return any(find_past(sentence) for sentence in sentences(prose(text)))


@pytest.mark.parametrize("text", PRESENT.strip().splitlines())
def test_not_past(text: str):
    assert not found(text)


@pytest.mark.parametrize("text", PAST.strip().splitlines())
def test_past(text: str):
    assert found(text)


@pytest.mark.parametrize(
    ("past", "present"),
    [
        ("walked", "walks"),
        ("smiled", "smiles"),
        ("stopped", "stops"),
        ("carried", "carries"),
        ("went", "goes"),
        ("was", None),
        ("watched", "watches"),
        ("rolled", "rolls"),
        ("changed", "changes"),
        ("settled", "settles"),
        ("hoped", "hopes"),
        ("opened", "opens"),
        ("leaned", "leans"),
        ("freed", "frees"),
        ("danced", "dances"),
        ("held", "holds"),
        ("signalled", "signals"),
    ],
)
def test_the_present_of_a_past(past: str, present: str | None):
    base = base_form(past)
    assert (third_person(base) if base else None) == present
