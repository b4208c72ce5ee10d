//! Offers and answers of a hostile correspondent.
