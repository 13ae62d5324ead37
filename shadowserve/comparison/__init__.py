"""What a lane learns of a version beside the champion: what judgement and evidence read."""
